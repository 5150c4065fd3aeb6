package vrrp

import (
	"net/netip"
	"time"
)

// lapseGrace is how long an Active that stood still listens for a successor before it
// takes its place again. What was sent meanwhile lies in the socket already; a
// successor's next advertisement may still be on its way.
const lapseGrace = 100 * time.Millisecond

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
