// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/control"
	"hafast/internal/membership"
	"hafast/internal/peers"
)

// legChanged is what is known now of the ways between this host and a peer.
type legChanged struct{ bfd.LegEvent }

// legProber is the part of bfd.Legs that the loop needs.
type legProber interface {
	Set([]bfd.Peer) error
	Restart(bfd.Peer)
}

// legChanged takes in what this host has found out of the leg from a peer. Whoever sends
// on needs to know: it goes into the next hello.
func (l *loop) legChanged(now time.Time, ev bfd.LegEvent) {
	p := l.fleet.peers.Peer(ev.Peer.Addr)
	if p == nil {
		return
	}
	was := p.LegFrom
	p.LegFrom = ev
	l.reconcile()
	if was.State != ev.State && p.Session == bfd.Up {
		cause := "what " + l.nameOf(p) + " sends on arrives here"
		if ev.State == bfd.LegLost {
			cause = "what " + l.nameOf(p) + " sends on does not arrive here"
		}
		l.record(now, control.Event{Kind: "leg", From: was.State.String(), To: ev.State.String(), Cause: cause})
	}
}

// followLeg takes in what a peer says of the leg to it. A peer that says nothing, because
// it has only just begun to probe, leaves what was known.
func (l *loop) followLeg(now time.Time, p *peers.Peer) {
	said, ok := p.Said.Hello.Leg(l.fleet.boot)
	if !ok {
		return
	}
	state := bfd.LegLost
	if said.Arrives {
		state = bfd.LegProved
	}
	if state == p.LegTo {
		return
	}
	was := p.LegTo
	p.LegTo = state
	for _, q := range l.fleet.peers.All() {
		if peers.Same(p, q) { // the way to one address of a host is the way to it by another
			l.fleet.path.SetLeg(q.Addr, state == bfd.LegProved)
		}
	}
	name := l.nameOf(p)
	if state == bfd.LegLost {
		l.log.Warn("new flows stay on this host: what it sends on to a peer does not arrive there", "peer", name, "reason", legReason(p))
		l.record(now, control.Event{Kind: "leg", From: was.String(), To: state.String(), Cause: "new flows do not go to " + name + ": " + legReason(p)})
		return
	}
	l.log.Info("what this host sends on to a peer arrives there", "peer", name)
	l.record(now, control.Event{Kind: "leg", From: was.String(), To: state.String(), Cause: "what this host sends on arrives at " + name + ": new flows go there"})
}

// legReason says why no new flows go to a peer that would take them; empty if they do.
func legReason(p *peers.Peer) string {
	switch {
	case p.LegTo == bfd.LegProved:
		return ""
	case p.LegTo == bfd.LegLost && !p.LegFrom.Forwards:
		return "its probes do not arrive here, so that nothing is proved: is UDP port 7784 let through from it?"
	case p.LegTo == bfd.LegLost:
		return "its probes arrive here, and what this host's XDP program sends back does not arrive there: " +
			"the far end of a veth without a program, a switch or hypervisor that drops foreign source addresses, a one-way link"
	case p.Heard() && !p.Said.Silent && len(p.Said.Hello.Legs) == 0:
		return "it has not yet said whether frames of this host arrive there; versions before this one never do"
	default:
		return "not proved yet that frames of this host arrive there"
	}
}

// legsOf are what this host says of the ways to it: each host once, however many of its
// addresses are probed.
func (f *fleet) legsOf() (list []membership.Leg) {
	for _, p := range f.peers.All() {
		if p.Said.Hello.Boot == 0 || p.LegFrom.State == bfd.LegUnknown {
			continue
		}
		leg := membership.Leg{
			From:    membership.LegKey(p.Said.Hello.Boot),
			Arrives: p.LegFrom.State == bfd.LegProved, Forwards: p.LegFrom.Forwards,
		}
		at := slices.IndexFunc(list, func(l membership.Leg) bool { return l.From == leg.From })
		if at < 0 {
			list = append(list, leg)
			continue
		}
		list[at].Arrives = list[at].Arrives || leg.Arrives
		list[at].Forwards = list[at].Forwards || leg.Forwards
	}
	return list
}
