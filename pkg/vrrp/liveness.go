// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// lapseGrace is how long an Active that stood still listens for a successor before it
// takes its place again. What was sent meanwhile lies in the socket already; a
// successor's next advertisement may still be on its way.
const lapseGrace = 100 * time.Millisecond

// forbearance is how long the silence of an Active is borne whose host answers by
// other means. Adverts quicker than that stop while a daemon is replaced.
const forbearance = 3 * time.Second

// Life is what is known of a host by other means than its adverts.
type Life uint8

// The lives of a host.
const (
	LifeUnknown Life = iota
	LifeUp           // it answers, and is in service
	LifeDown         // it is dead
)

// SetLife tells of the host that sends adverts from that address. Those of a dead one
// count for nothing: what it still sends must neither demote its successor nor hold
// it back. Those of a host that answers may be missing for three seconds.
func (r *Router) SetLife(source netip.Addr, life Life) {
	if life == LifeUnknown {
		delete(r.lives, source)
		return
	}
	if r.lives == nil {
		r.lives = make(map[netip.Addr]Life)
	}
	r.lives[source] = life
}

// bear puts off the end of waiting for an Active that is alive, but sends nothing.
func (m *Machine) bear() {
	if at := m.heardAt.Add(forbearance); m.state == Backup && m.downCause == CauseTimeout && at.After(m.downAt) {
		m.downAt = at
	}
}

// activeLost goes beyond RFC 9568, whose Backup learns only by silence that the
// Active is gone. A router that is out of service leaves it at that: somebody who is
// in service may be there, and the Active_Down_Timer still runs.
func (m *Machine) activeLost(now time.Time, alone bool) []Action {
	if m.state != Backup || m.priority == PriorityStop {
		return nil
	}
	if alone {
		return m.becomeActive(now, Changed{Cause: CauseLiveness, Peer: m.active})
	}
	// As for priority 0 (RFC 9568 section 6.4.2): better ones go first.
	if at := now.Add(m.skew()); at.Before(m.downAt) {
		m.downAt, m.downCause = at, CauseLiveness
	}
	return nil
}

// vouched puts off the end of waiting as an advert would. Over a link that loses what the
// Active sends to this router alone, RFC 9568 has it take over after its
// Active_Down_Interval, beside an Active that all others follow.
func (m *Machine) vouched(now time.Time) {
	if m.state == Backup {
		m.downAt, m.downCause = now.Add(m.activeDown()), CauseTimeout
	}
}

// lapse has an Active give up what others may have taken while it stood still.
func (m *Machine) lapse(now time.Time) []Action {
	switch {
	case m.state != Active:
		return nil
	case m.Leaving():
		return m.end(CauseShutdown, netip.Addr{})
	}
	actions := m.becomeBackup(now, CauseLapsed, netip.Addr{})
	if at := now.Add(lapseGrace); at.Before(m.downAt) {
		m.downAt = at
	}
	return actions
}
