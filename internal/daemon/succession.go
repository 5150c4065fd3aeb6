// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"time"

	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/pkg/vrrp"
)

// chanceProbes is how many times the detection of a death those who go first in a
// succession have before the next one takes its turn.
const chanceProbes = 3

// turnDue says that an instance's turn may have come.
type turnDue struct{ instance string }

// waiting is an instance's wait for those who go first to take a lost Active's place.
type waiting struct {
	// active is the lost one.
	active netip.Addr
	// due is when those who go first have had their chance.
	due time.Time
}

// activeLost has the instances follow whose Active was on the peer. If nobody is known to
// be Active, the last other host that has died may have been: not one that is out of
// service, which may be starting at this very moment.
func (l *loop) activeLost(now time.Time, p *peers.Peer, dead bool) {
	alone := l.fleet.peers.Alone(p)
	own := l.ownAddresses()
	for _, in := range l.instances {
		machine := l.router.Machine(in.Name)
		active := machine.ActiveAddr()
		if machine.State() == vrrp.Backup && (p.Has(active) || dead && alone && !active.IsValid()) {
			l.takeTurn(now, in, p, own)
		}
	}
}

// takeTurns looks again where others go first: one of them may be gone meanwhile.
func (l *loop) takeTurns(now time.Time) {
	for _, in := range l.instances {
		l.turnDue(now, in)
	}
}

// turnDue looks whether the instance still waits, and for whom.
func (l *loop) turnDue(now time.Time, in *instance) {
	if in == nil || in.waiting == nil {
		return
	}
	machine, p := l.router.Machine(in.Name), l.fleet.peers.Owner(in.waiting.active)
	if machine.State() != vrrp.Backup || machine.ActiveAddr() != in.waiting.active || p == nil || p.Present() {
		in.waiting = nil // somebody has taken the place, or the Active is there after all
		return
	}
	l.takeTurn(now, in, p, l.ownAddresses())
}

// takeTurn has the instance take the lost Active's place if it is its turn. Everybody knows
// from the hellos who is healthy and at which priority, so that nobody needs to wait for a
// skew; the next one waits until those who go first have had their chance. If by then one
// of them still follows an Active, it is this host alone that has lost it, and the Active
// stays.
func (l *loop) takeTurn(now time.Time, in *instance, lost *peers.Peer, own []netip.Addr) {
	machine := l.router.Machine(in.Name)
	turn := l.fleet.peers.Turn(in.key, peers.Candidate{Priority: machine.Priority(), Addrs: own}, lost)
	waited := in.waiting != nil && !now.Before(in.waiting.due)
	switch {
	case !turn.Known:
		in.waiting = nil
		l.perform(now, l.router.Step(now, in.Name, vrrp.ActiveLost{}))
	case turn.Ahead == 0, waited && !turn.Vouched:
		in.waiting = nil
		l.perform(now, l.router.Step(now, in.Name, vrrp.ActiveLost{Alone: true}))
	case in.waiting == nil || waited:
		chance := time.Duration(turn.Ahead*chanceProbes*l.cfg.Liveness.Multiplier) * l.cfg.Liveness.Interval
		in.waiting = &waiting{active: machine.ActiveAddr(), due: now.Add(chance)}
		l.later(chance, turnDue{in.Name})
		if waited {
			l.perform(now, l.router.Step(now, in.Name, vrrp.Vouched{}))
		} else {
			l.moved = true
		}
	}
}

// standings are where this host stands in each election, for the peers to know.
func (l *loop) standings() []membership.Router {
	out := make([]membership.Router, len(l.instances))
	for i, in := range l.instances {
		machine := l.router.Machine(in.Name)
		out[i] = membership.Router{Key: in.key, Priority: machine.Priority()}
		switch machine.State() {
		case vrrp.Active:
			out[i].Standing = membership.Leading
		case vrrp.Backup:
			out[i].Standing = membership.Seeking
			if in.waiting == nil && machine.ActiveAddr().IsValid() {
				out[i].Standing = membership.Following
			}
		case vrrp.Init, vrrp.Fault: // takes no part
		}
	}
	return out
}
