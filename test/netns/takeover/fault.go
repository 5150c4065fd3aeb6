package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// ErrNotApplicable is returned for a fault that the system has no counterpart of,
// such as draining a host with keepalived.
var ErrNotApplicable = errors.New("not applicable to this system")

// ErrUnknownFault is returned for a fault's name that does not exist.
var ErrUnknownFault = errors.New("unknown fault")

// Fault is something that happens to the active host.
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
	// PlannedStop ends the daemon with SIGTERM.
	PlannedStop Fault = "planned-stop"
	// Drain hands over on purpose while the daemon goes on.
	Drain Fault = "drain"
)

// Faults returns all of them, in the order of reports.
func Faults() []Fault {
	return []Fault{HostDeath, LinkDown, HAProxyKill, DaemonKill, PlannedStop, Drain}
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

// Inject makes the fault happen on the host. It does not wait for consequences.
func (f Fault) Inject(ctx context.Context, sys lab.System, h *lab.Host) error {
	switch f {
	case HostDeath:
		return h.SilentDeath()
	case LinkDown:
		return h.LinkDown()
	case HAProxyKill:
		return h.KillHAProxy()
	case DaemonKill:
		return sys.Kill(h)
	case PlannedStop:
		return sys.Signal(h, unix.SIGTERM)
	case Drain:
		d, ok := sys.(lab.Drainer)
		if !ok {
			return ErrNotApplicable
		}
		return d.Drain(ctx, h)
	default:
		return fmt.Errorf("%w %q", ErrUnknownFault, string(f))
	}
}
