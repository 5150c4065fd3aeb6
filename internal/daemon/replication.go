// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"time"

	"hafast/internal/control"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/pkg/vrrp"
)

// channel is the part of statesync.Channel that the loop needs. None of it waits, but
// SetScope for a moment, when VIPs are given up.
type channel interface {
	SetPeers([]membership.Neighbour)
	SetAlive(peer netip.Addr, alive bool)
	SetScope([]netip.Addr) error
	SetKeys([][]byte) error
	SetConfig(uint64)
}

// replication is the loop's part in state sync; it does nothing without a channel.
type replication struct {
	channel channel
	// scope are the VIPs that the peers think this host is Active for.
	scope []netip.Addr
	// lacking: this host does not know what it must to take another's place.
	lacking bool
	// doubled are peers that have turned out to be further addresses of others.
	doubled []netip.Addr
}

// readinessChanged is whether this host knows what it must to take another's place.
type readinessChanged struct{ ready bool }

// readinessChanged holds preemption back, or lets it go on.
func (l *loop) readinessChanged(now time.Time, ready bool) {
	l.sync.lacking = !ready
	l.perform(now, l.router.StepAll(now, vrrp.Defer{On: !ready}))
	cause := "in sync with the peers that are there"
	if !ready {
		cause = "not in sync with a peer: no preemption until then"
	}
	l.record(now, control.Event{Kind: "sync", Cause: cause})
}

// moves reports whether an action begins or ends this host's being responsible for VIPs.
func moves(out vrrp.Output) bool {
	switch action := out.Action.(type) {
	case vrrp.Acquire, vrrp.Release:
		return true
	case vrrp.Send:
		return action.Priority == vrrp.PriorityStop
	default:
		return false
	}
}

// tellScope tells the peers which VIPs this host is Active for and means to stay so. Of
// the others they have its last word when this returns, if it can be sent within 20 ms:
// before the advert that has another host take over, and before the first packet of those
// that it takes itself.
func (l *loop) tellScope() {
	if l.sync.channel == nil {
		return
	}
	var scope []netip.Addr
	for _, in := range l.instances {
		// A reload may have taken the instance away already.
		if l.router.State(in.Name) != vrrp.Active || l.router.Machine(in.Name).Priority() == vrrp.PriorityStop {
			continue
		}
		scope = append(scope, in.addresses()...)
	}
	if slices.Equal(scope, l.sync.scope) {
		return
	}
	l.sync.scope = scope
	if err := l.sync.channel.SetScope(scope); err != nil {
		l.log.Warn("a VIP is given up and changes of its connections may come after it", "error", err)
	}
}

// tellRoutes says how the peers are reached, where no fleet does.
func (l *loop) tellRoutes() {
	if l.sync.channel != nil && l.fleet == nil {
		l.sync.channel.SetPeers(l.neighbours())
	}
}

// neighbours are the peers and the ways to them.
func (l *loop) neighbours() []membership.Neighbour {
	home := l.home(l.instances[0].source)
	var out []membership.Neighbour
	add := func(addr, via netip.Addr) {
		n := membership.Neighbour{Addr: addr, Source: l.cfg.Sync.Listen}
		if via != addr {
			n.Via = via
		}
		if !n.Source.IsValid() {
			n.Source = l.sourceTowards(via)
		}
		if via.IsLinkLocalUnicast() {
			n.Interface = home.Index
		}
		out = append(out, n)
	}
	if !l.cfg.Sync.On() {
		for _, p := range l.cfg.Peers {
			add(p, p)
		}
		return out
	}
	for i, via := range l.cfg.Sync.Peers {
		addr := via
		if !slices.Contains(l.cfg.Peers, via) && i < len(l.cfg.Peers) {
			addr = l.cfg.Peers[i]
		}
		add(addr, via)
	}
	return out
}

// rekey takes in keys that were read anew.
func (l *loop) rekey(keys [][]byte) error {
	if l.sync.channel == nil {
		return nil
	}
	l.sync.channel.SetConfig(l.cfg.SharedHash())
	return l.sync.channel.SetKeys(keys)
}

// noteDoubles warns, once for each, of peers that are another address of one before them:
// all state goes to their host twice, or waits for an answer that comes from the other.
func (l *loop) noteDoubles(told []membership.Neighbour) {
	if !l.cfg.Sync.On() {
		return
	}
	for i, n := range told {
		p := l.fleet.peers.Peer(n.Addr)
		if p == nil || slices.Contains(l.sync.doubled, p.Addr) {
			continue
		}
		for _, former := range told[:i] {
			if q := l.fleet.peers.Peer(former.Addr); q != nil && peers.Same(q, p) {
				l.sync.doubled = append(l.sync.doubled, p.Addr)
				l.log.Warn("two peers are one host, which is told everything twice: "+control.SyncOnce, "peer", l.nameOf(q), "again", p.Addr)
				break
			}
		}
	}
}
