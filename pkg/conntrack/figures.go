// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"maps"
	"net/netip"
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// State is where a session stands, as this host hears the peer.
type State uint8

// The states.
const (
	// Connecting: the peer is not there, or has not answered yet.
	Connecting State = iota
	// Incompatible: there is no version that both understand, or one of the two has no
	// key. See PeerStatus.Incompatible.
	Incompatible
	// Syncing: the peer is telling what it has.
	Syncing
	// InSync: all that the peer is Active for has been told, and goes on being told.
	InSync
)

// String is the state's name as status shows it.
func (s State) String() string {
	switch s {
	case Incompatible:
		return "incompatible"
	case Syncing:
		return "syncing"
	case InSync:
		return "in_sync"
	default:
		return "connecting"
	}
}

// Traffic counts datagrams as they are on the wire, without IP and UDP headers.
type Traffic struct{ Datagrams, Bytes uint64 }

// Told counts records of a table that a peer was told.
type Told struct {
	News    uint64
	Walked  uint64 // by resyncs and audits
	Walks   uint64 // that were told to the end
	Skipped uint64 // created and gone before they left
}

// Diverged counts records that an audit found otherwise here than at the peer, and mended.
type Diverged struct {
	Missing   uint64
	Different uint64
	Stale     uint64 // gone at the peer, and dropped here by its sweep
}

// Taken counts what came of the records of a table that a peer told.
type Taken struct {
	Same, Added, Altered, Removed uint64
	Kept                          uint64 // because what is here is younger
	Failed                        uint64 // for want of room, mostly
	Swept                         uint64 // dropped because the peer has them no more
	Miscounted                    uint64 // walks after which nothing was swept: not all of it was understood
	Diverged                      Diverged
}

// TableStatus is that of a table towards one peer.
type TableStatus struct {
	Waiting int // changes in the outbox
	Told    Told
	Taken   Taken
	// WalkError says why the last walk or sweep could not be finished.
	WalkError error
}

// PeerStatus is that of the session with one address of a peer.
type PeerStatus struct {
	Addr  netip.Addr
	State State
	// Incompatible says why, for people; empty if it is not.
	Incompatible string
	Boot         uint64 // 0: it has never been heard
	// Version is that of parts and records, 0 if there is none.
	Version uint8
	// Greeted: it has said what it can do and how it is configured. SameConfig: the hashes
	// of the configurations are equal; true until then.
	Greeted, SameConfig bool
	// LastHeard is the time since its last datagram; of interest if it was ever heard.
	LastHeard time.Duration

	// Covered: the peer has acknowledged all that was there when it was last told
	// everything; but for the backlog, it could take over.
	Covered bool
	// Backlog is how many changes it has not acknowledged, UnderWay how many of those have
	// left, Oldest how old the oldest is.
	Backlog, UnderWay int
	Oldest            time.Duration
	Lag               Lag

	Epoch      uint32 // of what it is told
	Window     int    // batches that may be on their way
	RoundTrip  time.Duration
	Resyncs    map[Reason]uint64
	LastResync Reason        // empty if there was none
	ResyncTook time.Duration // the last one that was completed

	Sent, Received Traffic
	Resent         uint64 // batches
	Rejected       map[wire.Reject]uint64
	// UnknownParts and UnknownGroups were passed over: the peer is of a later version.
	UnknownParts, UnknownGroups uint64

	Flows, Entries TableStatus
}

// Status is that of the engine.
type Status struct {
	Peers []PeerStatus // by address
	// Unprotected is how many changes no peer has acknowledged: what would be lost if
	// this host died now. Bare: it is all flows, because no peer is covered.
	Unprotected int
	Bare        bool
	// Rejected are datagrams that are of no peer.
	Rejected map[wire.Reject]uint64
}

// figures are what a session counts by itself.
type figures struct {
	sent, received Traffic
	rejected       map[wire.Reject]uint64
	unknownParts   uint64
}

// Status returns the figures at the time now.
func (e *Engine) Status(now time.Time) Status {
	at := e.tell(now)
	st := Status{Rejected: maps.Clone(e.rejected), Bare: true}
	for _, s := range e.sessions {
		p := s.status(at)
		if p.Covered && p.State != Connecting && (st.Bare || p.Backlog < st.Unprotected) {
			st.Bare, st.Unprotected = false, p.Backlog
		}
		st.Peers = append(st.Peers, p)
	}
	return st
}

// State returns where the session with a peer stands; Connecting for one that is not
// named.
func (e *Engine) State(now time.Time, peer netip.Addr) State {
	at := e.tell(now)
	if s := e.index[peer.Unmap()]; s != nil {
		state, _ := s.state(at)
		return state
	}
	return Connecting
}

// Settled reports whether everything has been applied that a peer told while it was Active
// for a VIP, up to its last word as such. A host that takes over from one that is alive
// waits for it.
func (e *Engine) Settled(now time.Time, peer netip.Addr, vip record.Address) bool {
	at := e.tell(now)
	s := e.index[peer.Unmap()]
	if s == nil {
		return false
	}
	state, _ := s.state(at)
	return state == InSync && !s.in.activeFor(vip)
}

// state returns where the session stands, and for Incompatible why.
func (s *session) state(now time.Duration) (State, string) {
	switch {
	case !s.there(now) || !s.greeted:
		return Connecting, ""
	case !s.e.sealer.Sealed():
		return Incompatible, "there is no sync key"
	case s.version == 0:
		return Incompatible, incompatible(s.e.greeting, s.theirs)
	case !s.in.inSync():
		return Syncing, ""
	}
	return InSync, ""
}

func (s *session) status(now time.Duration) PeerStatus {
	f := s.out.sender.Figures()
	p := PeerStatus{
		Addr: s.addr, Boot: s.boot, Version: s.version, Greeted: s.greeted,
		SameConfig: !s.greeted || s.theirs.Config == s.e.greeting.Config,
		LastHeard:  now - s.heard,
		Covered:    s.version != 0 && s.out.covered,
		Backlog:    s.out.backlog() + f.Changes, UnderWay: f.Changes, Lag: s.out.lag.lag(now),
		Epoch: s.out.sender.Epoch(), Window: f.Window, RoundTrip: f.RoundTrip,
		Resyncs: maps.Clone(s.out.resyncs), LastResync: s.out.lastResync, ResyncTook: s.out.resyncTook,
		Sent: s.sent, Received: s.received, Resent: f.Resent, Rejected: maps.Clone(s.rejected),
		UnknownParts: s.unknownParts, UnknownGroups: s.in.unknown,
	}
	p.State, p.Incompatible = s.state(now)
	if !f.Oldest.IsZero() {
		p.Oldest = now - s.e.since(f.Oldest)
	}
	if s.out.flows != nil {
		p.Flows = tableStatus(now, &p, s.out.flows, s.in.flows)
	}
	if s.out.entries != nil {
		p.Entries = tableStatus(now, &p, s.out.entries, s.in.entries)
	}
	return p
}

// tableStatus returns the figures of a table, and books its oldest change.
func tableStatus(now time.Duration, p *PeerStatus, l teller, t taker) TableStatus {
	if at, ok := l.oldest(); ok {
		p.Oldest = max(p.Oldest, now-at)
	}
	waiting, _ := l.waiting()
	told, err := l.told()
	taken, sweepErr := t.taken()
	if err == nil {
		err = sweepErr
	}
	return TableStatus{Waiting: waiting, Told: told, Taken: taken, WalkError: err}
}
