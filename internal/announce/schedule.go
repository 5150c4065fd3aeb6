// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"time"

	"hafast/internal/config"
)

// Schedule says when to announce: a burst at the takeover, the burst again after
// a while for switches and hosts that were not listening, and then single
// announcements that keep tables fresh. It holds no clock and no timer.
type Schedule struct {
	plan config.Announce
	// start is the takeover.
	start time.Time
	phase phase
	// left counts the announcements still to come in a burst.
	left int
	next time.Time
}

// phase is what a Schedule is at.
type phase int

const (
	burst phase = iota
	repeat
	refresh
	finished
)

// NewSchedule starts a schedule with its first announcement due at the takeover.
// A Count below 1 counts as 1: RFC 9568 section 6.4.1 asks for one announcement.
func NewSchedule(plan config.Announce, takeover time.Time) *Schedule {
	plan.Count = max(plan.Count, 1)
	return &Schedule{plan: plan, start: takeover, phase: burst, left: plan.Count, next: takeover}
}

// Next is when the next announcement is due; false if none will be.
func (s *Schedule) Next() (time.Time, bool) {
	return s.next, s.phase != finished
}

// Due reports whether an announcement is due, and if so moves on to the next.
// Announcements missed by a caller that is late are not made up for: pauses
// count from the later of plan and now.
func (s *Schedule) Due(now time.Time) bool {
	if s.phase == finished || now.Before(s.next) {
		return false
	}
	s.left--
	switch {
	case s.phase != refresh && s.left > 0:
		s.next = after(s.next, s.plan.Interval, now)
	case s.phase == burst && s.plan.RepeatDelay > 0:
		s.phase, s.left = repeat, s.plan.Count
		s.next = later(s.start.Add(s.plan.RepeatDelay), now)
	case s.plan.Refresh > 0:
		s.phase = refresh
		s.next = after(s.next, s.plan.Refresh, now)
	default:
		s.phase = finished
	}
	return true
}

// after is one pause after the planned time, or after now where that has passed.
func after(planned time.Time, pause time.Duration, now time.Time) time.Time {
	if next := planned.Add(pause); next.After(now) {
		return next
	}
	return now.Add(pause)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
