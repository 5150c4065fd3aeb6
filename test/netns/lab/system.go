// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRunning is returned where a daemon was expected to run on the host.
var ErrNotRunning = errors.New("daemon is not running")

// State is what a daemon makes of its virtual router.
type State string

// The states of RFC 9568 and two more: a daemon in fault and one that is not there.
const (
	StateActive State = "active"
	StateBackup State = "backup"
	StateInit   State = "init"
	StateFault  State = "fault"
	StateGone   State = "gone"
)

// System is a fail-over daemon that can be put on the pair, or on a group of hosts.
type System interface {
	// Name is short, stable and without spaces.
	Name() string
	// Version is what the program says of itself.
	Version(ctx context.Context) string
	// Size is how many hosts it is put on; see [Members].
	Size() int
	// Start starts the daemon on the host and returns without waiting for an election.
	Start(ctx context.Context, h *Host) error
	// Signal sends the daemon a signal.
	Signal(h *Host, sig unix.Signal) error
	// Kill kills the daemon with all its processes and returns when it is gone.
	Kill(h *Host) error
	// Proc is the daemon's process, nil if it was not started.
	Proc(h *Host) *Proc
	// State is what the daemon says of its virtual router, or what can be
	// seen of it from outside.
	State(ctx context.Context, h *Host) State
}

// Drainer is a System that can hand over on purpose while the daemon goes on.
type Drainer interface {
	Drain(ctx context.Context, h *Host) error
}

// Upgrader is a System whose daemon can be replaced without a hand-over.
type Upgrader interface {
	// Upgrade ends the host's daemon and starts it again, as a new version would be.
	Upgrade(ctx context.Context, h *Host) error
}

// WaitSettled waits until the first host alone is Active and the others are Backup,
// and it has stayed so for a moment: a pair that starts as two masters
// passes through such a state for some milliseconds, too.
func WaitSettled(ctx context.Context, sys System, active *Host, backups ...*Host) error {
	const moment = 300 * time.Millisecond
	err := Steadily(ctx, fmt.Sprintf("%s to settle with %s active", sys.Name(), active.Name), moment, func() bool {
		if sys.State(ctx, active) != StateActive {
			return false
		}
		for _, h := range backups {
			if sys.State(ctx, h) != StateBackup {
				return false
			}
		}
		return true
	})
	if err != nil {
		for _, h := range append([]*Host{active}, backups...) {
			err = fmt.Errorf("%w; %s is %s", err, h.Name, sys.State(ctx, h))
		}
	}
	return err
}

// Restart stops the daemon with SIGTERM, waits until it is gone and starts it again.
func Restart(ctx context.Context, sys System, h *Host) error {
	p := sys.Proc(h)
	if p == nil {
		return fmt.Errorf("restart %s on %s: %w", sys.Name(), h.Name, ErrNotRunning)
	}
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return sys.Start(ctx, h)
}

// daemons keeps the processes of a system, one per host.
type daemons struct {
	// Hosts is how many hosts the system is put on; 0 stands for the pair.
	Hosts int

	mu    sync.Mutex
	procs map[*Host]*Proc
}

// Size implements System.
func (d *daemons) Size() int { return cmp.Or(d.Hosts, pairSize) }

// Proc implements System.
func (d *daemons) Proc(h *Host) *Proc {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.procs[h]
}

// Signal implements System.
func (d *daemons) Signal(h *Host, sig unix.Signal) error {
	p := d.Proc(h)
	if p == nil || p.Exited() {
		return fmt.Errorf("signal on %s: %w", h.Name, ErrNotRunning)
	}
	return p.Signal(sig)
}

// Kill implements System.
func (d *daemons) Kill(h *Host) error {
	p := d.Proc(h)
	if p == nil || p.Exited() {
		return fmt.Errorf("kill on %s: %w", h.Name, ErrNotRunning)
	}
	p.Kill()
	return nil
}

// start starts a daemon and remembers it.
func (d *daemons) start(h *Host, name string, argv ...string) error {
	p, err := h.Start(name, argv...)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.procs == nil {
		d.procs = make(map[*Host]*Proc)
	}
	d.procs[h] = p
	return nil
}

// running reports whether the daemon runs on the host.
func (d *daemons) running(h *Host) bool {
	p := d.Proc(h)
	return p != nil && !p.Exited()
}

// peerOf is the other host of the pair.
func peerOf(h *Host) *Host {
	a, b := h.lab.Pair()
	if h == a {
		return b
	}
	return a
}
