// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// State is where a virtual router stands (RFC 9568 section 6.4).
type State uint8

// Fault is not the RFC's: the interface is down, gone or without an address, so
// that the router can take no part at all.
const (
	Init State = iota
	Backup
	Active
	Fault
)

// String is the state's name as status, events and metrics show it.
func (s State) String() string {
	switch s {
	case Init:
		return "init"
	case Backup:
		return "backup"
	case Active:
		return "active"
	default:
		return "fault"
	}
}

// Cause says why a state changed. Its text is fit for a metric's label.
type Cause string

// The causes of a transition.
const (
	CauseStartup      Cause = "startup"
	CauseOwner        Cause = "owner"           // priority 255 starts as Active
	CauseTimeout      Cause = "timeout"         // nothing heard of the Active
	CauseLiveness     Cause = "liveness"        // the Active's liveness session went down
	CauseLapsed       Cause = "lapsed"          // this host stood still for too long
	CauseResumed      Cause = "resumed"         // started in a predecessor's place
	CausePriorityZero Cause = "priority_zero"   // the Active said it goes
	CausePreempted    Cause = "preempted"       // the Active's priority is below ours
	CauseHigher       Cause = "higher_priority" // heard a better Active
	CauseResigned     Cause = "resigned"        // out of service, and a successor was heard
	CauseSyncGroup    Cause = "sync_group"      // another member of the group moved
	CauseFault        Cause = "fault"
	CauseRecovered    Cause = "recovered"
	CauseShutdown     Cause = "shutdown"
)

// Causes lists all of them, for those who keep a counter for each.
func Causes() []Cause {
	return []Cause{
		CauseStartup, CauseOwner, CauseTimeout, CauseLiveness, CauseLapsed, CauseResumed, CausePriorityZero, CausePreempted,
		CauseHigher, CauseResigned, CauseSyncGroup, CauseFault, CauseRecovered, CauseShutdown,
	}
}

// Event is what can happen to a virtual router.
type Event interface{ event() }

type (
	// Start brings the router up from Init. Resume starts it as Active: it
	// takes the place of a predecessor that was so a moment ago.
	Start struct{ Resume bool }
	// Stop asks it to hand over and end in Init. An Active does so when it hears
	// its successor, or after the time a successor may take at most.
	Stop struct{}
	// Received is an advertisement that passed [Parse].
	Received struct {
		Advert Advert
		From   netip.Addr
	}
	// SetFault says that the router cannot take part.
	SetFault struct{ Reason string }
	// Recover ends a fault.
	Recover struct{}
	// SetPriority is the outcome of tracking. PriorityStop means out of service:
	// to be chosen only when nobody else is there.
	SetPriority struct{ Priority uint8 }
	// SetSource is the address that adverts are sent from; it breaks ties.
	SetSource struct{ Addr netip.Addr }
	// Reconfigure replaces the parameters. Version and VRID must stay the same.
	Reconfigure struct{ Params Params }
	// Promote makes a Backup Active, because its sync group moves.
	Promote struct{}
	// Yield makes an Active resign, because its sync group moves.
	Yield struct{}
	// ActiveLost says that the Active host is dead or has said that it is out of
	// service, by other means than its advertisements. Alone is set when nobody
	// else can be there to take over: a Backup then need not let better ones go first.
	ActiveLost struct{ Alone bool }
	// Vouched says that another router, which would take the Active's place before this one,
	// has an Active: that this one hears of none is its own trouble. It counts as an advert
	// that was heard.
	Vouched struct{}
	// Lapse says that this host stood still for so long that others must take it
	// for dead. It is a Backup until it has heard what has become of them.
	Lapse struct{}
	// Defer keeps a Backup from preempting, or ends that: it lacks what an Active must
	// know. It still takes over from an Active that is gone.
	Defer struct{ On bool }
	// Tick fires the timers that are due.
	Tick struct{}
)

func (Start) event()       {}
func (Stop) event()        {}
func (Received) event()    {}
func (SetFault) event()    {}
func (Recover) event()     {}
func (SetPriority) event() {}
func (SetSource) event()   {}
func (Reconfigure) event() {}
func (Promote) event()     {}
func (Yield) event()       {}
func (ActiveLost) event()  {}
func (Vouched) event()     {}
func (Lapse) event()       {}
func (Defer) event()       {}
func (Tick) event()        {}

// Action is what a step asks its caller to do, in order.
type Action interface{ action() }

type (
	// Send puts an advertisement of this priority on the wire.
	Send struct{ Priority uint8 }
	// Acquire puts the addresses in place and announces them.
	Acquire struct{}
	// Release takes the addresses off the interface.
	Release struct{}
	// Reannounce repeats the announcement: somebody else claimed the addresses.
	Reannounce struct{ Rival netip.Addr }
	// Changed reports a transition. Peer is the other router in it, if there is one.
	Changed struct {
		From, To State
		Cause    Cause
		Peer     netip.Addr
		// Due is when the timer that led to this ran out; the zero Time where
		// no timer did. Now minus Due is how late the caller was.
		Due time.Time
	}
	// Noted reports something odd that changed nothing.
	Noted struct {
		Note Note
		Peer netip.Addr
	}
)

func (Send) action()       {}
func (Acquire) action()    {}
func (Release) action()    {}
func (Reannounce) action() {}
func (Changed) action()    {}
func (Noted) action()      {}

// Note names an oddity that an operator wants to know of.
type Note string

// The oddities.
const (
	NoteSecondOwner  Note = "another router claims priority 255 too"
	NoteInterval     Note = "peer advertises at another interval than ours"
	NoteAddresses    Note = "peer advertises other addresses than ours"
	NoteSecondActive Note = "another router is active too, with a lower priority"
)
