// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/neighbor"
	"hafast/internal/sockets"
	"hafast/internal/statesync"
	"hafast/pkg/loader"
)

// How often things are looked at that send no event.
const (
	socketsEvery     = time.Second
	connectionsEvery = time.Second
	gatewayEvery     = 10 * time.Second
)

// reflectLimit is how many probes of a peer are answered within 16.8 ms: more than
// one a millisecond, with room for two of its daemons during an upgrade.
const reflectLimit = 64

// fleetAdapters are what a fleet works through.
type fleetAdapters struct {
	path     *datapath.Path
	prober   *bfd.Prober
	legs     *bfd.Legs
	channel  *statesync.Channel
	boot     uint64
	exchange *membership.Exchange
	sockets  *sockets.Reader
	watcher  *sockets.Watcher
	departed *neighbor.Watch
	conn     *link.Conn
	log      *slog.Logger

	moved chan struct{} // observed are others

	mu       sync.Mutex
	at       observed
	counting bool
}

// openFleet loads the data path and opens what goes with it. Nothing runs yet; if it
// fails, what a predecessor has left is as it was.
func openFleet(ctx context.Context, l *loop, keys [][]byte, log *slog.Logger) (_ *fleetAdapters, err error) {
	a := &fleetAdapters{log: log, moved: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.abandon(true))
		}
	}()
	// One of its own: the owner's must be free for a takeover.
	if a.conn, err = link.Open(); err != nil {
		return a, err
	}
	if a.path, err = datapath.Open(datapath.Options{
		PinDir: l.cfg.BPFDir, Flows: l.cfg.Flows, Mode: modeOf(l.cfg.XDP), Log: log,
	}, a.conn); err != nil {
		return a, err
	}
	if a.boot, err = newBoot(); err != nil {
		return a, err
	}
	if a.channel, err = openChannel(ctx, l, a.boot, keys, a.path, log); err != nil {
		return a, err
	}
	a.exchange = membership.New(a.boot, a.channel)
	if a.sockets, err = sockets.Open(); err != nil {
		return a, fmt.Errorf("look at haproxy's sockets: %w", err)
	}
	a.watcher = sockets.NewWatcher(a.sockets, log)
	slots := slots{}
	for i := range slots {
		if slots[i], err = a.path.Session(i); err != nil {
			return a, err
		}
	}
	if a.prober, err = bfd.New(bfd.Config{
		Slots: &slots, Witness: a.path, Timing: timing(l.cfg.Liveness),
		Frames: func() uint64 { n, _ := a.frames(); return n },
		Report: func(ev bfd.Event) { l.post(ctx, livenessChanged{ev}) },
	}); err != nil {
		return a, fmt.Errorf("probe the peers: %w", err)
	}
	if err := a.openLegs(); err != nil {
		return a, fmt.Errorf("probe the ways to the peers: %w", err)
	}
	a.departed = neighbor.New(a.askNeighbor, a.frames, func(addr netip.Addr, gone bool) {
		l.post(ctx, asked{func(now time.Time) { l.departedGone(now, addr, gone) }})
	})
	a.path.SetProbe(a.prober.Port(), l.cfg.Liveness.Interval, reflectLimit)
	return a, nil
}

func modeOf(xdp string) loader.Mode {
	switch xdp {
	case "native":
		return loader.ModeNative
	case "generic":
		return loader.ModeGeneric
	default:
		return loader.ModeAuto
	}
}

// slots are the sessions in the data path's memory.
type slots [loader.MaxPeers]loader.Session

func (s *slots) SetSent(slot int, seq uint32) { s[slot].SetSent(seq) }

func (s *slots) Reply(slot int) (seq uint32, state uint8, at time.Duration, n uint64) {
	return s[slot].Reply()
}

// legSlots are the legs in the data path's memory.
type legSlots [loader.MaxPeers]loader.Leg

func (s *legSlots) SetSent(slot int, seq uint32)   { s[slot].SetSent(seq) }
func (s *legSlots) Returned(slot int) (seq uint32) { return s[slot].Returned() }
func (s *legSlots) Forwarded(slot int) (n uint64)  { return s[slot].Forwarded() }

func (a *fleetAdapters) openLegs() (err error) {
	slots := legSlots{}
	for i := range slots {
		if slots[i], err = a.path.Leg(i); err != nil {
			return err
		}
	}
	a.legs, err = bfd.NewLegs(&slots, loader.LegDiscriminator)
	return err
}

// frames is how many frames the program has seen.
func (a *fleetAdapters) frames() (n uint64, err error) {
	counters, err := a.path.Counters()
	if err != nil {
		return 0, err
	}
	for _, c := range counters {
		n += c
	}
	return n, nil
}

// askNeighbor has a host verified that frames are sent to.
func (a *fleetAdapters) askNeighbor(addr netip.Addr) neighbor.Answer {
	answer := neighbor.NoAnswerDue
	index, onLink, err := a.conn.OnLink(addr)
	if err == nil && onLink {
		answer, err = neighbor.Ask(index, addr)
	}
	if err != nil {
		a.log.Debug("a departed peer's host is not watched", "peer", addr, "error", err)
	}
	return answer
}

// fleet is the loop's side of the adapters.
func (a *fleetAdapters) fleet(peers []netip.Addr) *fleet {
	f := &fleet{
		path: a.path, prober: a.prober, legs: a.legs, exchange: a.exchange, boot: a.boot, frames: a.frames, connections: -1,
		watch: func(at observed) {
			a.mu.Lock()
			moved := a.at.iface != at.iface
			a.at = at
			a.mu.Unlock()
			a.watcher.Kick()
			if moved {
				a.lookAgain()
			}
		},
		count: func(on bool) {
			a.mu.Lock()
			a.counting = on
			a.mu.Unlock()
		},
		watchDeparted: a.departed.Set,
	}
	f.begin(time.Now(), peers, a.path.Targets())
	return f
}

// pids are haproxy's processes now.
func (a *fleetAdapters) pids() []int {
	at, _ := a.watched()
	if at.pidfile == "" {
		return nil
	}
	pids, err := health.ReadPidfile(at.pidfile)
	if err != nil {
		return nil // the check on haproxy tells of it
	}
	return pids
}

func (a *fleetAdapters) watched() (at observed, counting bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at, a.counting
}

// lookAgain has the default gateway looked for now.
func (a *fleetAdapters) lookAgain() {
	select {
	case a.moved <- struct{}{}:
	default:
	}
}

// connections are those that haproxy holds to VIPs.
func (a *fleetAdapters) connections() (int, error) {
	at, _ := a.watched()
	return a.sockets.Established(at.vips)
}

// run starts everything in the group, until ctx is done.
func (a *fleetAdapters) run(ctx context.Context, g *errgroup.Group, l *loop) {
	g.Go(func() error { return a.path.Run(ctx) })
	g.Go(func() error { return a.path.Sweep(ctx) })
	g.Go(func() error { return a.prober.Run(ctx) })
	g.Go(func() error {
		return a.legs.Run(ctx, func(ev bfd.LegEvent) { l.post(ctx, legChanged{ev}) })
	})
	g.Go(func() error { return a.departed.Run(ctx) })
	g.Go(func() error {
		return a.exchange.Run(ctx, func(p membership.Peer) { l.post(ctx, peerSpoke{p}) })
	})
	g.Go(func() error {
		vips := func() []netip.Addr { at, _ := a.watched(); return at.vips }
		a.watcher.Run(ctx, socketsEvery, a.pids, vips, func(found []config.Service) {
			l.post(ctx, servicesFound{found})
		})
		return nil
	})
	g.Go(func() error { a.count(ctx, l); return nil })
	g.Go(func() error { a.findGateway(ctx, l); return nil })
}

// count reports how many connections are left while somebody wants to know.
func (a *fleetAdapters) count(ctx context.Context, l *loop) {
	last := -1
	every(ctx, connectionsEvery, nil, func() {
		n := -1
		if _, counting := a.watched(); counting {
			var err error
			if n, err = a.connections(); err != nil {
				a.log.Warn("connections are not counted", "error", err)
				n = -1
			}
		}
		if n != last {
			last = n
			l.post(ctx, connectionsCounted{n})
		}
	})
}

// findGateway reports the default gateway.
func (a *fleetAdapters) findGateway(ctx context.Context, l *loop) {
	var last gatewayFound
	every(ctx, gatewayEvery, a.moved, func() {
		at, _ := a.watched()
		state, err := a.conn.State(at.iface)
		if err != nil {
			return // it will come back
		}
		addr, err := a.conn.DefaultGateway(state.Index)
		if err != nil {
			a.log.Debug("default gateway unknown", "error", err)
			return
		}
		if found := (gatewayFound{at.iface, addr}); found != last {
			last = found
			l.post(ctx, found)
		}
	})
}

// every calls do now and then again and again, and when sooner says so, until ctx is done.
func every(ctx context.Context, pause time.Duration, sooner <-chan struct{}, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-sooner:
		}
	}
}

// closeAll closes the adapters and then the data path: it goes on serving if it is
// kept, and is gone otherwise.
func (a *fleetAdapters) closeAll(keep bool) error {
	var failures []error
	if a.prober != nil {
		failures = append(failures, a.prober.Close())
	}
	if a.legs != nil {
		a.legs.Close()
	}
	if a.sockets != nil {
		failures = append(failures, a.sockets.Close())
	}
	if a.conn != nil {
		failures = append(failures, a.conn.Close())
	}
	switch {
	case a.path == nil:
	case keep:
		failures = append(failures, a.path.Close())
	default:
		failures = append(failures, a.path.Remove())
	}
	return errors.Join(failures...)
}

// abandon closes what was opened for a fleet that came to nothing, and then the data
// path, as closeAll does.
func (a *fleetAdapters) abandon(keep bool) error {
	var err error
	if a.channel != nil {
		err = a.channel.Close()
	}
	return errors.Join(err, a.closeAll(keep))
}
