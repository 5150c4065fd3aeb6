// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"slices"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/pkg/vrrp"
)

const (
	// certainAfter is how long a host answers no probe before it is certainly dead, if
	// no hello has come for membership.SilentAfter either. A virtual machine that is moved, or a
	// switch that learns anew, may keep a host silent for some tenths of a second.
	certainAfter = time.Second
	// advertsAfter and hellosAfter are how long a host that answers no probe may go on
	// advertising or saying hello before it is taken to be alive after all: without S-BFD,
	// or on a network that loses it.
	advertsAfter = time.Second
	hellosAfter  = 2 * time.Second
)

// Table is all peers. It is stepped, and not safe for concurrent use.
type Table struct {
	peers []*Peer
	// deaf is set while this host's own receiving is in doubt: nothing becomes certain.
	deaf bool
	// hearing is since when it is not.
	hearing time.Time
}

// All are the peers in the order of the configuration. The slice is not to be changed.
func (t *Table) All() []*Peer { return t.peers }

// Peer is the one that is configured with the address; nil if there is none.
func (t *Table) Peer(addr netip.Addr) *Peer {
	for _, p := range t.peers {
		if p.Addr == addr {
			return p
		}
	}
	return nil
}

// Owner is the peer whose own address it is, first of all as configured; nil if it is
// nobody's.
func (t *Table) Owner(addr netip.Addr) *Peer {
	if p := t.Peer(addr); p != nil {
		return p
	}
	for _, p := range t.peers {
		if p.Has(addr) {
			return p
		}
	}
	return nil
}

// Hosts are the peers, each host once: one that is listed by several addresses, as for
// instances of both families, goes by the first.
func (t *Table) Hosts() []*Peer {
	var out []*Peer
	for _, p := range t.peers {
		if !slices.ContainsFunc(out, func(q *Peer) bool { return Same(p, q) }) {
			out = append(out, p)
		}
	}
	return out
}

// Set replaces the peers and keeps what is known of those that stay. Those that do not may
// still be VRRP routers, and their adverts count.
func (t *Table) Set(addrs []netip.Addr) (out []Output) {
	old := *t
	t.peers = nil
	for _, a := range addrs {
		p := old.Peer(a)
		if p == nil {
			p = &Peer{Addr: a, Said: membership.Peer{Addr: a, Silent: true}}
		}
		t.peers = append(t.peers, p)
	}
	for _, p := range old.peers {
		if t.Peer(p.Addr) == nil {
			out = append(out, LifeChanged{p, p.addresses(), vrrp.LifeUnknown})
		}
	}
	return append(out, t.watching())
}

// Step takes in what was found out about the peer with that address, and returns what is to
// be done. It does nothing if there is no such peer.
func (t *Table) Step(now time.Time, addr netip.Addr, ev Event) (out []Output) {
	p := t.Peer(addr)
	if p == nil {
		return nil
	}
	switch ev := ev.(type) {
	case Probed:
		out = t.probed(now, p, ev)
	case Spoke:
		out = t.spoke(p, ev.Peer)
	case Advertised:
		if p.Session == bfd.Down && now.Sub(p.SessionSince) >= advertsAfter {
			out = t.leave(now, p, "goes on advertising")
		}
	case Vanished:
		if !p.facts().daemonGone() {
			return nil // it is back
		}
		p.vanished = ev.Gone
	case InheritedFlows:
		p.inherited, p.Said.Hello.MAC = true, ev.MAC
		if ev.Proved {
			p.LegTo = bfd.LegProved
		}
		out = append(out, t.watching())
	}
	return append(out, t.assess()...)
}

// Tick does what is due by the clock. It is to be called every 20 ms or so.
func (t *Table) Tick(now time.Time) (out []Output) {
	for _, p := range t.peers {
		switch {
		case p.Session != bfd.Down:
		case !p.Said.Silent && now.Sub(p.SessionSince) >= hellosAfter:
			out = append(out, t.leave(now, p, "goes on saying hello")...)
		case t.unanswered(now, p) >= certainAfter:
			p.certain = true
		}
	}
	return append(out, t.assess()...)
}

// SetReceiving takes note of whether anything arrives at this host. While nothing does,
// the peers' silence proves nothing, and for a moment after that.
func (t *Table) SetReceiving(now time.Time, on bool) {
	if on && t.deaf {
		t.hearing = now
	}
	t.deaf = !on
}

// probed acts on a session's change. The election comes first.
func (t *Table) probed(now time.Time, p *Peer, ev Probed) []Output {
	p.setSession(now, ev.To)
	switch {
	case ev.To == bfd.Down && t.answersElsewhere(p):
		return nil // one of its addresses is in trouble, the host is not
	case ev.To == bfd.Down && ev.Doubtful:
		return []Output{LifeChanged{p, p.addresses(), vrrp.LifeUnknown}, Doubted{}}
	case ev.To == bfd.Down, ev.To == bfd.AdminDown:
		return []Output{t.life(p), ActiveLost{Peer: p, Dead: ev.To == bfd.Down}}
	default:
		return []Output{t.life(p)}
	}
}

// spoke takes in what a peer says of itself.
func (t *Table) spoke(p *Peer, said membership.Peer) []Output {
	before, had := p.facts(), p.addresses()
	p.Said = said
	after := p.facts()
	var out []Output
	if lost := slices.DeleteFunc(had, p.Has); len(lost) > 0 {
		out = append(out, LifeChanged{p, lost, vrrp.LifeUnknown})
	}
	if !said.Silent {
		p.certain = false
	}
	if after.daemonGone() != before.daemonGone() {
		p.vanished = false
		out = append(out, t.watching())
	}
	was, is := before.hello == membership.Stopping, after.hello == membership.Stopping
	switch {
	case is && !was:
		out = append(out, Probing{Peer: p}, ActiveLost{Peer: p})
	case was && !is:
		out = append(out, Probing{Peer: p, On: true})
	}
	return append(out, t.life(p))
}

// leave gives up the session with a peer that answers no probes and is alive.
func (t *Table) leave(now time.Time, p *Peer, sign string) []Output {
	p.setSession(now, bfd.Unmonitored)
	return []Output{t.life(p), LeftToAdverts{Peer: p, Sign: sign}}
}

// assess works out the states anew.
func (t *Table) assess() (out []Output) {
	for _, p := range t.peers {
		f := p.facts()
		if t.answersElsewhere(p) {
			f.session = bfd.Up // who answers by one address is there
		}
		f.vanished = t.vanished(p)
		if to := f.state(); to != p.state {
			out = append(out, StateChanged{Peer: p, From: p.state, To: to})
			p.state = to
		}
	}
	return out
}

// answersElsewhere reports whether the host answers by another of its addresses.
func (t *Table) answersElsewhere(p *Peer) bool {
	return slices.ContainsFunc(t.peers, func(q *Peer) bool { return q != p && Same(p, q) && q.Session == bfd.Up })
}

// vanished reports whether a host whose daemon is gone answers by none of its addresses.
func (t *Table) vanished(p *Peer) bool {
	return !slices.ContainsFunc(t.peers, func(q *Peer) bool { return Same(p, q) && q.facts().daemonGone() && !q.vanished })
}

// unanswered is for how long the host has been silent in every way while this host could
// hear it; 0 if it has not.
func (t *Table) unanswered(now time.Time, p *Peer) time.Duration {
	since := t.hearing
	for _, q := range t.peers {
		switch {
		case !Same(p, q):
		case t.deaf, !q.Said.Silent, q.Session == bfd.Up, q.Session == bfd.AdminDown:
			return 0
		case q.Session == bfd.Down && q.SessionSince.After(since):
			since = q.SessionSince
		}
	}
	return now.Sub(since)
}

// life is what the election is to know of the host.
func (t *Table) life(p *Peer) LifeChanged {
	out := LifeChanged{Peer: p, Addrs: p.addresses()}
	switch {
	case p.Session == bfd.Up, t.answersElsewhere(p):
		out.Life = vrrp.LifeUp
	case p.Session == bfd.Down && !t.deaf:
		out.Life = vrrp.LifeDown
	}
	return out
}

// watching lists the peers whose daemons are gone.
func (t *Table) watching() Watching {
	var w Watching
	for _, p := range t.peers {
		if p.facts().daemonGone() {
			w.Addrs = append(w.Addrs, p.Addr)
		}
	}
	return w
}
