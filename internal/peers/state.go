// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/internal/steering"
)

// State is what a peer is taken for.
type State uint8

// The states. What each means for flows is in Target.
const (
	// Unknown: nothing has been heard of it, not even where frames for it go.
	Unknown State = iota
	// Inherited: a predecessor of this daemon sent flows there, and nothing has been heard
	// of it since. Its daemon may have been stopped before this one was started.
	Inherited
	// Up: it takes new flows.
	Up
	// Draining: it serves the flows that it has. It was drained, or its daemon does not
	// renew its lease.
	Draining
	// NotServing: it says that its haproxy is dead.
	NotServing
	// Suspect: it leaves probes unanswered, not for long enough to be sure.
	Suspect
	// DaemonStopped: its daemon has said goodbye. Its haproxy serves the flows that it has.
	DaemonStopped
	// Silent: S-BFD is not spoken with it, and no hello has come for a second.
	Silent
	// HostDead: it answers nothing.
	HostDead

	states = int(HostDead) + 1
)

// String is the state's name as status shows it.
func (s State) String() string {
	names := [states]string{
		"unknown", "inherited", "up", "draining", "not_serving", "suspect", "daemon_stopped", "silent", "host_dead",
	}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// DaemonGone reports whether nobody but its kernel speaks for the host.
func (s State) DaemonGone() bool { return s == DaemonStopped || s == Inherited }

// Target is what may be done with a peer's haproxy in that state. Flows that a host has
// stay there for as long as the host may be alive: a daemon that is gone does them no harm.
func (s State) Target() steering.State {
	switch s {
	case Up:
		return steering.Up
	case Inherited, Draining, Suspect, DaemonStopped:
		return steering.Drain
	case Unknown, NotServing, Silent, HostDead:
	}
	return steering.Down
}

// facts are what a peer's state follows from.
type facts struct {
	// session is what S-BFD has found out.
	session bfd.State
	// hello is what the peer said last of itself; 0 if nothing was heard of it yet.
	hello membership.State
	// silent: no hello has come for membership.SilentAfter.
	silent bool
	// inherited: a predecessor of this daemon sent it flows.
	inherited bool
	// vanished: its daemon is gone, and its host has ceased to answer ARP or ND.
	vanished bool
	// certain: probes and hellos have been missing for long enough to be sure.
	certain bool
}

// rules are the states and the facts that lead to each. The first that fits holds.
var rules = []struct {
	to State
	is func(f facts) bool
}{
	{HostDead, func(f facts) bool { return f.daemonGone() && f.vanished }},
	{DaemonStopped, func(f facts) bool { return f.hello == membership.Stopping }},
	{Unknown, func(f facts) bool { return f.hello == 0 && !f.inherited }},
	{HostDead, func(f facts) bool { return f.session == bfd.Down && f.certain }},
	{NotServing, func(f facts) bool { return f.hello == membership.Down }},
	{Suspect, func(f facts) bool { return f.session == bfd.Down }},
	{Inherited, func(f facts) bool { return f.hello == 0 }},
	{Draining, func(f facts) bool { return f.session == bfd.AdminDown || f.hello == membership.Drain }},
	{Silent, func(f facts) bool { return f.silent && f.session != bfd.Up }},
	{Up, func(facts) bool { return true }},
}

func (f facts) state() State {
	for _, r := range rules {
		if r.is(f) {
			return r.to
		}
	}
	return Unknown // not reached: the last rule fits always
}

// daemonGone reports whether the peer's daemon is not there to speak for its host, which
// may still have flows.
func (f facts) daemonGone() bool {
	return f.hello == membership.Stopping || f.hello == 0 && f.inherited
}

// present reports whether the peer may take over what this host might.
func (f facts) present() bool {
	switch {
	case f.hello == membership.Stopping, f.session == bfd.Down, f.session == bfd.AdminDown:
		return false
	case f.session == bfd.Up:
		return true
	default:
		return f.hello != 0 && !f.silent
	}
}
