// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/membership"
)

// Peer is another host, by one of its addresses.
type Peer struct {
	// Addr is the configured one.
	Addr netip.Addr
	// Said is what it says of itself.
	Said membership.Peer
	// Session is what S-BFD says of it, since SessionSince.
	Session      bfd.State
	SessionSince time.Time
	// LegTo is the way of flows that this host sends on to it, as it says, and LegFrom the
	// way of those that it sends on to this host. Both are kept here for the caller.
	LegTo   bfd.LegState
	LegFrom bfd.LegEvent

	state State

	inherited, vanished, certain bool
}

// State is what the peer is taken for.
func (p *Peer) State() State { return p.state }

// Has reports whether an address is the peer's own.
func (p *Peer) Has(a netip.Addr) bool { return p.Addr == a || p.Said.Has(a) }

// Heard reports whether the peer has ever said anything.
func (p *Peer) Heard() bool { return !p.Said.Heard.IsZero() }

// Stopping reports whether the peer has said goodbye: its silence means nothing.
func (p *Peer) Stopping() bool { return p.facts().hello == membership.Stopping }

// Present reports whether the peer may take over what this host might.
func (p *Peer) Present() bool { return p.facts().present() }

// addresses are all by which the peer is known.
func (p *Peer) addresses() []netip.Addr {
	out := []netip.Addr{p.Addr}
	for _, a := range p.Said.Hello.Addresses {
		if a != p.Addr {
			out = append(out, a)
		}
	}
	return out
}

// facts are those that are known by this address alone.
func (p *Peer) facts() facts {
	f := facts{session: p.Session, silent: p.Said.Silent, inherited: p.inherited, vanished: p.vanished, certain: p.certain}
	if p.Heard() {
		f.hello = p.Said.Hello.State
	}
	return f
}

func (p *Peer) setSession(now time.Time, to bfd.State) {
	if p.Session != to {
		p.Session, p.SessionSince = to, now
	}
	if to != bfd.Down {
		p.certain = false
	}
}

// Same reports whether two entries are one host.
func Same(p, q *Peer) bool {
	return p == q || p.Said.Has(q.Addr) || q.Said.Has(p.Addr) ||
		p.Heard() && q.Heard() && q.Said.Hello.Boot == p.Said.Hello.Boot
}
