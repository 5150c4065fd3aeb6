// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// Options say what to open.
type Options struct {
	// PinDir is where programs and maps are pinned.
	PinDir string
	// Flows is how many TCP flows per family the flow table holds.
	Flows int
	Mode  loader.Mode
	Log   *slog.Logger
}

// Routes finds the interface by which an address on the same network is reached;
// *link.Conn does.
type Routes interface {
	OnLink(addr netip.Addr) (ifindex int, ok bool, err error)
}

// Path is the data path of this host. Renew, SetServing, SetTargetState, OpenGate and CloseGate may
// be called from any goroutine and never wait.
type Path struct {
	*loader.DataPath
	mode   loader.Mode
	routes Routes
	log    *slog.Logger

	// resumable are VIPs for which a predecessor was Active until a moment ago.
	resumable map[netip.Addr]bool

	notes   sync.Mutex
	desired *Desired // to be carried out
	renewed bool     // an interface was made anew
	wake    chan struct{}

	// work guards what a reconcile changes.
	work    sync.Mutex
	places  steering.Places
	planner steering.Planner
	carried carried

	// fast guards what the calls that never wait look up.
	fast   sync.RWMutex
	gates  map[string]int
	open   map[string]bool        // by instance, also of one that has no gate yet
	former map[netip.Addr]int     // a predecessor's gates, by VIP
	onLink map[netip.Addr]reached // targets that can be sent to
	proved map[netip.Addr]bool    // targets that what is sent to is known to reach
	local  netip.Addr
	seats  steering.Places   // what places was when it was last written to the program
	failed map[string]string // by interface, why it has no program

	counting sync.Mutex // held while flows are visited to be counted
	tally    atomic.Pointer[Tally]

	// Run's own.
	told     string   // what the last reconcile failed with
	attached []string // the interfaces that the program is on; nil if one of them failed
}

// reached is a target that frames can be sent to.
type reached struct {
	place int
	state steering.State
}

// Open loads the program, or takes over a predecessor's maps. Nothing runs before
// Prepare.
func Open(opts Options, routes Routes) (*Path, error) {
	dp, err := loader.Open(loader.Options{PinDir: opts.PinDir, Flows: opts.Flows, Waiting: func() {
		opts.Log.Info("waiting for another hafast to let go of its pins", "directory", opts.PinDir)
	}})
	if err != nil {
		return nil, err
	}
	p := &Path{
		DataPath: dp, mode: opts.Mode, routes: routes, log: opts.Log,
		resumable: make(map[netip.Addr]bool), wake: make(chan struct{}, 1),
		gates: make(map[string]int), open: make(map[string]bool), former: make(map[netip.Addr]int),
		onLink: make(map[netip.Addr]reached), proved: make(map[netip.Addr]bool), failed: make(map[string]string),
	}
	for _, t := range dp.Targets() {
		if err := p.places.Restore(uint8(t.Place), t.Addr); err != nil {
			p.log.Warn("a predecessor's target is forgotten", "error", err)
		}
		// A leg that was proved to it is so until the peers say otherwise.
		p.proved[t.Addr] = t.Flags&loader.TargetNew != 0
	}
	vips, err := dp.VIPs()
	if err != nil {
		return nil, errors.Join(err, dp.Close())
	}
	for _, v := range vips {
		p.former[v.Addr] = v.Gate
	}
	if dp.Lease() > Now() {
		for _, v := range vips {
			p.resumable[v.Addr] = dp.Gate(v.Gate)
		}
	}
	for _, note := range dp.Notes() {
		p.log.Info(note)
	}
	return p, nil
}

// Now is the time on CLOCK_MONOTONIC, which the program reads.
func Now() time.Duration {
	var ts unix.Timespec
	// It fails only for a clock that does not exist.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// Resumable reports whether a predecessor answered for the VIP until a moment ago, and
// its lease still held when this was opened.
func (p *Path) Resumable(vip netip.Addr) bool { return p.resumable[vip] }

// Prepare carries out the first desired state and puts the program on the interfaces: all that
// are there, or none. The gates of instances that resume says are opened, all others are
// closed.
func (p *Path) Prepare(w Desired, resume func(instance string) bool) error {
	p.work.Lock()
	defer p.work.Unlock()
	for _, in := range w.Instances {
		p.open[in.Name] = resume(in.Name)
	}
	if err := p.reconcile(w); err != nil {
		return err
	}
	kept := make(map[int]bool)
	for name, gate := range p.gates {
		kept[gate] = p.open[name]
	}
	for gate := range loader.MaxGates {
		if p.Gate(gate) && !kept[gate] {
			p.SetGate(gate, false)
		}
	}
	for _, name := range w.Interfaces {
		at, err := p.Attach(name, p.mode)
		if err != nil {
			if _, gone := net.InterfaceByName(name); gone != nil {
				// It is for Reattach when it comes.
				p.log.Warn("no data path yet", "interface", name, "error", err)
				p.failed[name] = err.Error()
				continue
			}
			return fmt.Errorf("%s: %w", name, err)
		}
		p.log.Info("data path attached", "interface", name, "mode", at.Mode, "reason", at.Reason, "adopted", at.Adopted)
	}
	return nil
}

// SetDesired has the data path changed. It returns at once.
func (p *Path) SetDesired(w Desired) {
	w = w.clone()
	p.notes.Lock()
	p.desired = &w
	p.notes.Unlock()
	p.nudge()
}

// Reattach has the program put on interfaces that were made anew. It returns at once.
func (p *Path) Reattach() {
	p.notes.Lock()
	p.renewed = true
	p.notes.Unlock()
	p.nudge()
}

func (p *Path) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run reconciles until ctx is done.
func (p *Path) Run(ctx context.Context) error {
	var last *Desired
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			p.notes.Lock()
			desired, renewed := p.desired, p.renewed
			p.desired, p.renewed = nil, false
			p.notes.Unlock()
			if desired != nil {
				last = desired
				p.work.Lock()
				err := p.reconcile(*desired)
				p.work.Unlock()
				p.complain(err)
			}
			if last != nil && (renewed || !slices.Equal(last.Interfaces, p.attached)) {
				p.attachAll(last.Interfaces)
			}
		}
	}
}

// complain logs a failure that is not the same as before.
func (p *Path) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != p.told && text != "" {
		p.log.Error("the data path is not as it should be", "error", err)
	}
	p.told = text
}

// attachAll sees to it that the program runs on exactly these interfaces.
func (p *Path) attachAll(names []string) {
	wanted := make(map[string]bool)
	p.attached = names
	for _, name := range names {
		wanted[name] = true
		at, err := p.Attach(name, p.mode)
		text := ""
		if err != nil {
			text = err.Error()
			p.attached = nil
		}
		p.fast.Lock()
		was := p.failed[name]
		p.failed[name] = text
		p.fast.Unlock()
		switch {
		case text != "" && text != was:
			p.log.Error("no data path", "interface", name, "error", err)
		case text == "" && was != "":
			p.log.Info("data path attached", "interface", name, "mode", at.Mode, "reason", at.Reason)
		}
	}
	p.fast.Lock()
	for name := range p.failed {
		if !wanted[name] {
			delete(p.failed, name)
		}
	}
	p.fast.Unlock()
	for _, at := range p.Attachments() {
		if !wanted[at.Interface] {
			if err := p.Detach(at.Interface); err != nil {
				p.log.Warn("data path not detached", "interface", at.Interface, "error", err)
				p.attached = nil
			}
		}
	}
}

// Failures says, by interface, why there is no program; empty texts for those that
// have one.
func (p *Path) Failures() map[string]string {
	p.fast.RLock()
	defer p.fast.RUnlock()
	out := make(map[string]string, len(p.failed))
	for name, text := range p.failed {
		if text != "" {
			out[name] = text
		}
	}
	return out
}
