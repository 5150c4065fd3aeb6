// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"slices"

	"hafast/internal/membership"
)

// Candidate is who may take an Active's place.
type Candidate struct {
	// Priority is the effective one.
	Priority uint8
	// Addrs are the host's own ones. As on the wire, the highest breaks ties
	// (RFC 9568 section 6.4.3); all hosts know all addresses, and so agree.
	Addrs []netip.Addr
}

// before reports whether c goes before o.
func (c Candidate) before(o Candidate) bool {
	if c.Priority != o.Priority {
		return c.Priority > o.Priority
	}
	return highest(o.Addrs).Less(highest(c.Addrs))
}

func highest(addrs []netip.Addr) netip.Addr {
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return slices.MaxFunc(addrs, netip.Addr.Compare)
}

// Turn is where this host stands among those that may take an Active's place.
type Turn struct {
	// Known: everybody who is there has said where it stands. Where somebody has not, only
	// the skew of RFC 9568 section 6.1 keeps hosts apart.
	Known bool
	// Ahead is how many go first.
	Ahead int
	// Vouched: one of these says that somebody is Active. If that has been so for long
	// enough, it is this host alone that has lost the Active.
	Vouched bool
}

// Turn finds out whose turn it is to take the place of the lost peer's host in the election
// with that key, see membership.RouterKey.
func (t *Table) Turn(key uint32, self Candidate, lost *Peer) Turn {
	turn := Turn{Known: true}
	for _, p := range t.heirs(lost) {
		hello := p.Said.Hello
		if len(hello.Routers) == 0 {
			turn.Known = false // an earlier release, or no hello has come yet
			continue
		}
		r, ok := hello.Router(key)
		if !ok || r.Standing == membership.Apart {
			continue
		}
		leads := r.Standing == membership.Leading
		other := Candidate{Priority: r.Priority, Addrs: hello.Addresses}
		if !leads && (r.Priority == 0 || self.before(other)) {
			continue // out of service, or after this host
		}
		turn.Ahead++
		turn.Vouched = turn.Vouched || leads || r.Standing == membership.Following
	}
	return turn
}

// Alone reports whether nobody but this host may take the place of the lost peer's host.
func (t *Table) Alone(lost *Peer) bool { return len(t.heirs(lost)) == 0 }

// heirs are the other hosts that may take the place of the lost peer's host.
func (t *Table) heirs(lost *Peer) []*Peer {
	return slices.DeleteFunc(t.Hosts(), func(p *Peer) bool { return Same(p, lost) || !p.Present() })
}
