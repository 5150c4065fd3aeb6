// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// handoverSlack is for the successor's first advertisement to arrive.
const handoverSlack = 100 * time.Millisecond

// Deadline is when [Tick] is next due; false while no timer runs.
func (m *Machine) Deadline() (time.Time, bool) {
	switch {
	case m.state == Backup:
		return m.downAt, true
	case m.Leaving() && m.leaveAt.Before(m.advertAt):
		return m.leaveAt, true
	case m.state == Active:
		return m.advertAt, true
	default:
		return time.Time{}, false
	}
}

// advertising reports whether what is due next is an advert and nothing else.
func (m *Machine) advertising() bool { return m.state == Active && !m.Leaving() }

// advertise sends the current priority. The next one is due an interval after
// this one was, so that a late step does not slow the cadence.
func (m *Machine) advertise(now time.Time) []Action {
	next := m.advertAt.Add(m.params.Interval)
	if now.Before(m.advertAt) || !next.After(now) {
		next = now.Add(m.params.Interval)
	}
	m.advertAt = next
	return []Action{Send{m.Priority()}}
}

// skew is how long this router lets better ones go first: Skew_Time of RFC 9568
// section 6.1, from the Active's interval and not cut to whole centiseconds, so
// that routers of neighbouring priorities do not promote together. Version 2
// takes it in seconds whatever the interval (RFC 3768 section 6.1).
func (m *Machine) skew() time.Duration {
	return time.Duration(256-int(m.priority)) * m.skewUnit(m.activeInterval) / 256
}

func (m *Machine) skewUnit(interval time.Duration) time.Duration {
	if m.params.Version == 2 {
		return time.Second
	}
	return interval
}

// activeDown is Active_Down_Interval of RFC 9568 section 6.1.
func (m *Machine) activeDown() time.Duration { return 3*m.activeInterval + m.skew() }
