// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// ErrNotApplicable is returned for a fault that the system has no counterpart of,
// such as draining a host with keepalived.
var ErrNotApplicable = errors.New("not applicable to this system")

// ErrUnknownFault is returned for a fault's name that does not exist.
var ErrUnknownFault = errors.New("unknown fault")

// Fault is something that happens to a host: to the active one, unless its name says
// standby.
type Fault string

// The faults that are measured.
const (
	// HostDeath drops everything the host sends and is sent; no link goes down.
	HostDeath Fault = "host-death"
	// LinkDown takes the host's interface down.
	LinkDown Fault = "link-down"
	// HAProxyKill kills haproxy with SIGKILL.
	HAProxyKill Fault = "haproxy-kill"
	// DaemonKill kills the fail-over daemon with SIGKILL; haproxy goes on.
	DaemonKill Fault = "daemon-kill"
	// DaemonStop stops it with SIGSTOP, all its processes: it is there and does
	// nothing. It is continued when the case is over.
	DaemonStop Fault = "daemon-stop"
	// PlannedStop ends the daemon with SIGTERM.
	PlannedStop Fault = "planned-stop"
	// Drain hands over on purpose while the daemon goes on.
	Drain Fault = "drain"
	// Upgrade puts a new process in the daemon's place. A system that has no way of its
	// own is restarted, as a package's upgrade would do it.
	Upgrade Fault = "upgrade"
	// StandbyDeath is HostDeath of the standby.
	StandbyDeath Fault = "standby-death"
	// StandbyHAProxyKill is HAProxyKill on the standby.
	StandbyHAProxyKill Fault = "standby-haproxy-kill"
	// FalseAlarm closes the host's port of the switch for a moment ([Runner.Alarm]), as one that learns anew
	// or a hypervisor that pauses a guest may do. Held connections are in use meanwhile.
	FalseAlarm Fault = "false-alarm"
)

// Faults returns all of them, in the order of reports.
func Faults() []Fault {
	return []Fault{
		HostDeath, LinkDown, HAProxyKill, DaemonKill, DaemonStop, PlannedStop, Drain, Upgrade,
		StandbyDeath, StandbyHAProxyKill, FalseAlarm,
	}
}

// ParseFault returns the fault of that name.
func ParseFault(name string) (Fault, error) {
	if f := Fault(name); slices.Contains(Faults(), f) {
		return f, nil
	}
	return "", fmt.Errorf("%w %q; there are %v", ErrUnknownFault, name, Faults())
}

// AppliesTo reports whether the system has a counterpart of the fault.
func (f Fault) AppliesTo(sys lab.System) bool {
	_, drains := sys.(lab.Drainer)
	return f != Drain || drains
}

// HitsStandby reports whether the fault is the standby's.
func (f Fault) HitsStandby() bool { return f == StandbyDeath || f == StandbyHAProxyKill }

// MovesVIP reports whether the VIP is to be on the standby in the end. Otherwise it is
// to be where it was; that it went away and came back meanwhile is no failure.
func (f Fault) MovesVIP() bool { return f != Upgrade && f != FalseAlarm && !f.HitsStandby() }

// inUse reports whether held connections are used on while the fault happens: it is over
// so soon that what is lost of them is sent again in time.
func (f Fault) inUse() bool { return f == FalseAlarm }

// beat is how often held connections are used.
func (f Fault) beat() time.Duration {
	if f.inUse() {
		return quickBeat
	}
	return beatInterval
}

// cutsOff reports whether the host that the fault hits cannot be reached any more.
func (f Fault) cutsOff() bool { return f == HostDeath || f == LinkDown || f == StandbyDeath }

// Inject makes the fault happen on the host, a false alarm for as long as is given. It does
// not wait for consequences.
func (f Fault) Inject(ctx context.Context, sys lab.System, h *lab.Host, alarm time.Duration) error {
	switch f {
	case HostDeath, StandbyDeath:
		return h.SilentDeath()
	case LinkDown:
		return h.LinkDown()
	case HAProxyKill, StandbyHAProxyKill:
		return h.KillHAProxy()
	case DaemonKill:
		return sys.Kill(h)
	case DaemonStop:
		return signalAll(sys, h, unix.SIGSTOP)
	case PlannedStop:
		return sys.Signal(h, unix.SIGTERM)
	case Drain:
		d, ok := sys.(lab.Drainer)
		if !ok {
			return ErrNotApplicable
		}
		return d.Drain(ctx, h)
	case Upgrade:
		if u, ok := sys.(lab.Upgrader); ok {
			return u.Upgrade(ctx, h)
		}
		return lab.Restart(ctx, sys, h)
	case FalseAlarm:
		port, err := h.PortSwitch()
		if err == nil {
			port.CloseFor(lab.BothWays, alarm)
		}
		return err
	default:
		return fmt.Errorf("%w %q", ErrUnknownFault, string(f))
	}
}

// Mend undoes what would be in the way of others: a process that stands still.
// All else is a matter of the next case, which starts afresh.
func (f Fault) Mend(sys lab.System, h *lab.Host) error {
	if f != DaemonStop {
		return nil
	}
	return signalAll(sys, h, unix.SIGCONT)
}

// signalAll sends a signal to all processes of the daemon.
func signalAll(sys lab.System, h *lab.Host, sig unix.Signal) error {
	p := sys.Proc(h)
	if p == nil || p.Exited() {
		return fmt.Errorf("signal on %s: %w", h.Name, lab.ErrNotRunning)
	}
	return p.SignalGroup(sig)
}
