// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// Params are a virtual router's configuration.
type Params struct {
	Version uint8
	VRID    uint8
	// Priority is the configured one, 1-255.
	Priority uint8
	// Addresses are what is advertised, all of one family, at most 255.
	Addresses []netip.Addr
	// Interval is the advertisement interval.
	Interval time.Duration
	// Preempt allows taking over from an Active of lower priority, PreemptDelay
	// holds that back after start-up and recovery.
	Preempt      bool
	PreemptDelay time.Duration
	// Password is version 2's plain text authentication.
	Password string
}

// Advert is what a router with these parameters sends at the given priority.
func (p Params) Advert(priority uint8) Advert {
	return Advert{
		Version: p.Version, VRID: p.VRID, Priority: priority,
		Interval: p.Interval, Addresses: p.Addresses, Password: p.Password,
	}
}

// Machine is the election of one virtual router. It is not safe for concurrent use.
type Machine struct {
	params   Params
	state    State
	priority uint8 // by tracking; PriorityStop: out of service
	source   netip.Addr

	active         netip.Addr    // who is Active as far as we know
	activeInterval time.Duration // the Active's interval (RFC 9568 section 6.1)
	downAt         time.Time     // Active_Down_Timer, in Backup
	downCause      Cause         // what it means when downAt passes
	heardAt        time.Time     // the Active's last advert, in Backup
	advertAt       time.Time     // Adver_Timer, in Active
	activeSince    time.Time     // in Active
	holdUntil      time.Time     // no preemption before
	deferring      bool          // no preemption at all
	leaveAt        time.Time     // in Active, after Stop: gone by then

	odd map[Note]netip.Addr // notes that were given, so that each is given once
}

// NewMachine returns a virtual router in Init.
func NewMachine(p Params) *Machine {
	return &Machine{params: p, priority: p.Priority, activeInterval: p.Interval, odd: make(map[Note]netip.Addr)}
}

// State is where the router stands.
func (m *Machine) State() State { return m.state }

// Priority is the effective one, PriorityStop when out of service or leaving.
func (m *Machine) Priority() uint8 {
	if m.Leaving() {
		return PriorityStop
	}
	return m.priority
}

// Params is the configuration the router was made with.
func (m *Machine) Params() Params { return m.params }

// ActiveAddr is the address of the router that is Active as far as this one
// knows; the zero Addr when it knows of none.
func (m *Machine) ActiveAddr() netip.Addr {
	if m.state == Active {
		return m.source
	}
	return m.active
}

// Leaving reports whether the router is Active only until a successor is heard.
func (m *Machine) Leaving() bool { return m.state == Active && !m.leaveAt.IsZero() }

// Step applies one event at the given time and returns what is to be done for it.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case Start:
		if m.state == Init {
			if ev.Resume && m.priority != PriorityStop {
				m.prepare(now)
				return m.becomeActive(now, Changed{Cause: CauseResumed})
			}
			return m.start(now, CauseStartup)
		}
	case Stop:
		return m.stop(now)
	case Reconfigure:
		return m.reconfigure(now, ev.Params)
	case SetFault:
		return m.fault()
	case Recover:
		if m.state == Fault {
			return m.start(now, CauseRecovered)
		}
	case SetSource:
		m.source = ev.Addr
	case SetPriority:
		return m.setPriority(now, ev.Priority)
	case Promote:
		if m.state == Backup {
			return m.becomeActive(now, Changed{Cause: CauseSyncGroup, Peer: m.active})
		}
	case Yield:
		return m.yield(now)
	case ActiveLost:
		return m.activeLost(now, ev.Alone)
	case Vouched:
		m.vouched(now)
	case Lapse:
		return m.lapse(now)
	case Defer:
		m.deferring = ev.On
	case Received:
		return m.received(now, ev)
	case Tick:
		return m.tick(now)
	}
	return nil
}

// start is RFC 9568 section 6.4.1.
func (m *Machine) start(now time.Time, cause Cause) []Action {
	m.prepare(now)
	if m.priority == PriorityOwner {
		return m.becomeActive(now, Changed{Cause: CauseOwner})
	}
	return m.becomeBackup(now, cause, netip.Addr{})
}

// prepare forgets what was known before.
func (m *Machine) prepare(now time.Time) {
	m.activeInterval = m.params.Interval
	m.holdUntil = now.Add(m.params.PreemptDelay)
	m.leaveAt = time.Time{}
}

func (m *Machine) stop(now time.Time) []Action {
	switch {
	case m.Leaving():
		return nil
	case m.state != Active:
		return m.end(CauseShutdown, netip.Addr{})
	}
	// Every successor promotes within its skew, which is less than an interval.
	m.leaveAt = now.Add(m.skewUnit(m.params.Interval) + handoverSlack)
	return m.advertise(now)
}

// reconfigure keeps the state: an Active goes on advertising, at the new pace
// from now on. Tracking brings a new priority with SetPriority.
func (m *Machine) reconfigure(now time.Time, p Params) []Action {
	paced := p.Interval != m.params.Interval
	m.params = p
	clear(m.odd)
	if p.Version == 2 {
		m.activeInterval = p.Interval // not learned: others are dropped
	}
	if m.state == Active && paced {
		return m.advertise(now)
	}
	return nil
}

func (m *Machine) fault() []Action {
	from := m.state
	switch {
	case from == Fault:
		return nil
	case m.Leaving():
		return m.end(CauseShutdown, netip.Addr{})
	}
	m.state = Fault
	m.active = netip.Addr{}
	actions := []Action{Changed{From: from, To: Fault, Cause: CauseFault}}
	if from == Active {
		// Perhaps only receiving is broken: a Backup that hears this need not wait.
		actions = append(actions, Send{PriorityStop}, Release{})
	}
	return actions
}

func (m *Machine) yield(now time.Time) []Action {
	switch {
	case m.state != Active:
		return nil
	case m.Leaving():
		return append([]Action{Send{PriorityStop}}, m.end(CauseShutdown, netip.Addr{})...)
	default:
		return append([]Action{Send{PriorityStop}}, m.becomeBackup(now, CauseSyncGroup, netip.Addr{})...)
	}
}

func (m *Machine) end(cause Cause, peer netip.Addr) []Action {
	from := m.state
	if from == Init {
		return nil
	}
	m.state = Init
	m.active = netip.Addr{}
	m.leaveAt = time.Time{}
	actions := []Action{Changed{From: from, To: Init, Cause: cause, Peer: peer}}
	if from == Active {
		actions = append(actions, Release{})
	}
	return actions
}

func (m *Machine) setPriority(now time.Time, priority uint8) []Action {
	old := m.priority
	m.priority = priority
	if priority == old || m.Leaving() {
		return nil
	}
	if old == PriorityStop {
		m.holdUntil = now.Add(m.params.PreemptDelay)
	}
	switch down := now.Add(m.activeDown()); {
	case m.state != Backup:
	case priority == PriorityStop:
		m.downAt = down // whoever is still in service goes first
	case old == PriorityStop && down.Before(m.downAt):
		m.downAt = down // and this one is again
	}
	if m.state != Active {
		return nil
	}
	if priority < old && priority != PriorityStop {
		// Priority 0 sets every Backup's timer to its skew; the advertisement that
		// follows at once takes that back from all but those who preempt it
		// (RFC 9568 section 6.4.2).
		return append([]Action{Send{PriorityStop}}, m.advertise(now)...)
	}
	return m.advertise(now)
}

// received is RFC 9568 sections 6.4.2 and 6.4.3.
func (m *Machine) received(now time.Time, r Received) []Action {
	var actions []Action
	if m.state == Backup || m.state == Active {
		actions = m.inspect(r)
	}
	switch m.state {
	case Backup:
		m.heardInBackup(now, r)
	case Active:
		actions = append(actions, m.heardInActive(now, r)...)
	case Init, Fault: // takes no part
	}
	return actions
}

func (m *Machine) heardInBackup(now time.Time, r Received) {
	switch {
	case r.Advert.Priority == PriorityStop && m.priority != PriorityStop:
		m.active = r.From
		// It may come again before the skew has passed, from an Active that waits
		// for its successor; waiting anew each time could go on for ever.
		if at := now.Add(m.skew()); at.Before(m.downAt) {
			m.downAt, m.downCause = at, CausePriorityZero
		}
	case m.preempts(now, r.Advert.Priority):
		m.downCause = CausePreempted
		m.active = r.From
	default:
		m.follow(now, r)
	}
}

// preempts reports whether an Active of that priority is to be taken over from.
// The owner always does (RFC 9568 section 6.1, Preempt_Mode).
func (m *Machine) preempts(now time.Time, priority uint8) bool {
	return (m.params.Preempt || m.priority == PriorityOwner) && !m.deferring &&
		priority < m.priority && !now.Before(m.holdUntil)
}

func (m *Machine) heardInActive(now time.Time, r Received) []Action {
	if m.Leaving() {
		return m.end(CauseShutdown, r.From)
	}
	if m.outranks(r) {
		m.learn(r)
		if m.priority == PriorityStop {
			return m.becomeBackup(now, CauseResigned, r.From)
		}
		// If the two of us were cut off from each other, the better one has not
		// heard of us yet. This lets it announce the addresses again, to the hosts
		// that have learned them from us.
		return append([]Action{Send{m.priority}}, m.becomeBackup(now, CauseHigher, r.From)...)
	}
	actions := m.advertise(now)
	if r.Advert.Priority != PriorityStop && now.Sub(m.activeSince) >= m.params.Interval {
		// Before that it is the last word of the one that was taken over from.
		actions = append(actions, m.note(NoteSecondActive, r.From)...)
	}
	// The rival may have announced the addresses as its own.
	return append(actions, Reannounce{Rival: r.From})
}

// outranks reports whether the sender is the better Active. Addresses compare
// as unsigned integers in network order (RFC 9568 section 6.4.3).
func (m *Machine) outranks(r Received) bool {
	if r.Advert.Priority != m.priority {
		return r.Advert.Priority > m.priority
	}
	return m.source.Less(r.From)
}

func (m *Machine) follow(now time.Time, r Received) {
	m.learn(r)
	m.downAt, m.downCause, m.heardAt = now.Add(m.activeDown()), CauseTimeout, now
}

func (m *Machine) learn(r Received) {
	m.active = r.From
	if m.params.Version == 3 {
		m.activeInterval = r.Advert.Interval
	}
}

// inspect notes what is accepted though it is odd.
func (m *Machine) inspect(r Received) []Action {
	var actions []Action
	if r.Advert.Priority == PriorityOwner && m.params.Priority == PriorityOwner {
		actions = append(actions, m.note(NoteSecondOwner, r.From)...)
	}
	if r.Advert.Interval != m.params.Interval {
		actions = append(actions, m.note(NoteInterval, r.From)...)
	}
	if !sameAddresses(r.Advert.Addresses, m.params.Addresses) {
		actions = append(actions, m.note(NoteAddresses, r.From)...)
	}
	return actions
}

// sameAddresses ignores order: RFC 9568 section 5.2.9 asks for none. The common
// case, the same order, costs no allocation.
func sameAddresses(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	return slices.Equal(
		slices.SortedFunc(slices.Values(a), netip.Addr.Compare),
		slices.SortedFunc(slices.Values(b), netip.Addr.Compare),
	)
}

// note gives each note once per peer in a row, not at every advertisement.
func (m *Machine) note(n Note, peer netip.Addr) []Action {
	if m.odd[n] == peer {
		return nil
	}
	m.odd[n] = peer
	return []Action{Noted{Note: n, Peer: peer}}
}

func (m *Machine) tick(now time.Time) []Action {
	switch {
	case m.state == Backup && !now.Before(m.downAt):
		return m.becomeActive(now, Changed{Cause: m.downCause, Peer: m.active, Due: m.downAt})
	case m.Leaving() && !now.Before(m.leaveAt):
		return m.end(CauseShutdown, netip.Addr{})
	case m.state == Active && !now.Before(m.advertAt):
		return m.advertise(now)
	}
	return nil
}

func (m *Machine) becomeActive(now time.Time, change Changed) []Action {
	change.From, change.To = m.state, Active
	m.state = Active
	m.active = netip.Addr{}
	m.advertAt, m.activeSince = now.Add(m.params.Interval), now
	m.leaveAt = time.Time{}
	clear(m.odd)
	return []Action{change, Send{m.priority}, Acquire{}}
}

func (m *Machine) becomeBackup(now time.Time, cause Cause, peer netip.Addr) []Action {
	change := Changed{From: m.state, To: Backup, Cause: cause, Peer: peer}
	m.state = Backup
	m.active = peer
	m.downAt, m.downCause = now.Add(m.activeDown()), CauseTimeout
	clear(m.odd)
	if change.From == Active {
		return []Action{change, Release{}}
	}
	return []Action{change}
}
