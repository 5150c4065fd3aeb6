// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"net/netip"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/wire"
)

// RejectPort is the reason to reject a datagram that is from another port than Port.
const RejectPort wire.Reject = "port"

// Status is how state sync stands.
type Status struct {
	conntrack.Status
	// Sessions are what is known of Peers beside that, in the same order.
	Sessions []Session
	// Keys are the ids of the live keys, that of the one that seals first.
	Keys []uint32
	// Flows and Entries tell which tables are replicated.
	Flows, Entries bool
	// EntryCount is how many entries the kernel's table has; 0 where it is not replicated.
	EntryCount int
	// EntryEvents are the kernel's events of entries.
	EntryEvents nfct.Figures
}

// Session is that with one address of a peer.
type Session struct {
	// Peer is the address that it is configured with.
	Peer netip.Addr
	// Since is when State was entered.
	Since time.Time
	state conntrack.State
}

// Status returns the figures.
func (c *Channel) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{
		Status: c.engine.Status(time.Now()), Keys: c.keys, Flows: c.flows != nil, Entries: c.entries != nil,
	}
	st.Rejected[RejectPort] = c.foreign
	for _, p := range st.Peers {
		s := c.sessions[p.Addr]
		s.Peer = plain(c.peers[p.Addr].Addr)
		st.Sessions = append(st.Sessions, s)
	}
	if c.entries != nil {
		// Without a count there is none to show.
		st.EntryCount, _, _ = c.entries.table.Usage()
		st.EntryEvents = c.entries.events.Figures()
	}
	return st
}

// observe notes since when sessions are in their states.
func (c *Channel) observe(now time.Time) {
	for way := range c.peers {
		if state := c.engine.State(now, way); state != c.sessions[way].state || c.sessions[way].Since.IsZero() {
			c.sessions[way] = Session{state: state, Since: now}
		}
	}
}
