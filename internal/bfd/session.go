// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// State is what is known of a peer.
type State uint8

// The states.
const (
	// Unknown: nothing has been heard yet.
	Unknown State = iota
	// Up: the peer answers, and serves.
	Up
	// AdminDown: the peer answers, and says that it is out of service.
	AdminDown
	// Down: the peer answered once, and does no more.
	Down
	// Unmonitored: the peer has not answered for a while since the start, or has said
	// goodbye. Its silence means nothing.
	Unmonitored
)

// String is the state's name, fit for status and a metric's label.
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case AdminDown:
		return "admin_down"
	case Down:
		return "down"
	case Unmonitored:
		return "none"
	}
	return "invalid"
}

// live reports whether the peer's silence would mean something.
func (s State) live() bool { return s == Up || s == AdminDown }

// known reports whether the peer has been heard of.
func (s State) known() bool { return s.live() || s == Down }

const (
	// window is how many of the last sequence numbers a reply may answer.
	window = 256

	// patience is how long a peer that has never answered is probed quickly.
	patience = time.Second
	// perseverance is how long one that has gone Down is.
	perseverance = time.Minute
	// lateLimit ends the benefit of the doubt that a peer has from a prober that is late again
	// and again, as on a host that is always busy: after so much listening it is Down.
	lateLimit = time.Second
	// slow is the pause between probes after that (RFC 5880 section 6.8.3 asks
	// for no less than a second while a session is not up).
	slow = time.Second
)

// Timing is how often a peer is probed, and how often in vain before it is Down.
type Timing struct {
	Interval   time.Duration
	Multiplier int // at least 1
}

// Transition is a change of a session's state.
type Transition struct {
	From, To State
	At       time.Duration // since the zero of CLOCK_MONOTONIC
	Run      int           // of misses that led to it
}

// Session is what one peer is probed by. It is pure: the caller gives it the time,
// in durations since the zero of CLOCK_MONOTONIC, and does what it says. At each
// tick, Observe comes first and Probe next; if that wants a probe sent, Sent tells
// the outcome. The package documentation has the rules.
type Session struct {
	timing Timing

	state     State
	since     time.Duration // of the state
	suspended bool

	seq         uint32        // of the last probe
	outstanding bool          // it is neither answered nor judged
	next        time.Duration // when it is judged; if there is none, when one is due
	probes      [window]probe // by the low bits of the sequence number

	started bool          // a probe has left
	start   time.Duration // when the first one did

	heard uint32 // sequence number of the last reply; 0 before the first one
	last  reply  // as the map had it, be it of any use or not
	run   int    // probes judged unanswered since the last reply
	held  int    // of these, those since the prober was late last: they count against the peer

	stats Stats
}

type probe struct {
	seq uint32 // 0: none
	at  time.Duration
}

type reply struct {
	seq   uint32
	state uint8
	at    time.Duration
}

// NewSession starts a session. The first probe is due at now and carries the
// sequence number after seq, which should be random: a daemon that comes back must
// not take answers to its predecessor's probes for its own.
func NewSession(timing Timing, seq uint32, now time.Duration) *Session {
	return &Session{timing: timing, seq: seq, next: now, since: now}
}

// State is the session's state.
func (s *Session) State() State { return s.state }

// Run is how many probes in a row have been judged unanswered, up to now.
func (s *Session) Run() int { return s.run }

// Next is when the session wants to be stepped next.
func (s *Session) Next() time.Duration { return s.next }

// SetTiming changes the pace from the next probe on.
func (s *Session) SetTiming(t Timing) { s.timing = t }

// Suspend takes note that the peer's silence will mean nothing: it has said
// goodbye. Until Resume it is probed slowly, and its answers are only counted.
func (s *Session) Suspend(now time.Duration) (Transition, bool) {
	from := s.state
	s.suspended = true
	return Transition{From: from, To: Unmonitored, At: now, Run: s.run}, s.become(Unmonitored, now)
}

// Resume expects the peer to be there again, as after the start.
func (s *Session) Resume(now time.Duration) {
	if !s.suspended {
		return
	}
	s.suspended = false
	s.state, s.since = Unknown, now
	s.started, s.run, s.held = false, 0, 0
	if !s.outstanding {
		s.next = min(s.next, now)
	}
}

// Observe takes what the reply map holds, new or not, and judges the outstanding
// probe if its time has come. at is when the reply arrived.
func (s *Session) Observe(now time.Duration, seq uint32, state uint8, at time.Duration) (Transition, bool) {
	from := s.state
	if r := (reply{seq: seq, state: state, at: at}); r != s.last {
		s.last = r
		if to, fresh := s.hear(r); fresh && !s.suspended && s.become(to, now) {
			// It may have been probed slowly so far. And if this answers an
			// earlier probe than the outstanding one, that is not judged in
			// the same breath.
			s.next = min(s.next, now+s.timing.Interval)
			if s.outstanding && now >= s.next {
				s.next = s.afresh(now)
			}
		}
	}
	if s.outstanding && now >= s.next {
		s.judge(now)
	}
	return Transition{From: from, To: s.state, At: now, Run: s.run}, s.state != from
}

// hear takes a reply that the map did not hold before, and tells what the peer
// says about itself. It is fresh if it answers a probe later than any before.
func (s *Session) hear(r reply) (to State, fresh bool) {
	p := s.probes[r.seq%window]
	known := r.seq != 0 && p.seq == r.seq
	later := s.heard == 0 || int32(r.seq-s.heard) > 0
	switch WireState(r.state) {
	case WireUp:
		to = Up
	case WireAdminDown:
		to = AdminDown
	default: // no reflector says so (RFC 7880 section 7.2.2)
		known = false
	}
	if !known || !later {
		s.stats.Ignored++
		return 0, false
	}

	if s.outstanding && r.seq == s.seq {
		s.outstanding = false
		s.stats.Answered++
	} else {
		s.stats.Late++
	}
	if r.at >= p.at {
		s.stats.RTT.add(r.at - p.at)
	}
	if s.run > 0 && s.state.known() {
		s.stats.Runs[min(s.run, RunLengths)-1]++
	}
	s.heard, s.run, s.held = r.seq, 0, 0
	return to, true
}

// judge finds the outstanding probe unanswered, unless the prober is late.
func (s *Session) judge(now time.Duration) {
	if now > s.next+s.timing.Interval/2 {
		s.stats.Paused++
		s.late(now)
		return
	}
	s.outstanding = false
	s.stats.Missed++
	s.run++
	s.held++
	if s.state.known() {
		s.stats.LongestRun = max(s.stats.LongestRun, uint32(s.run))
	}
	switch {
	case s.state.live() && (s.held >= s.timing.Multiplier || s.run >= s.timing.Multiplier && s.waited() >= lateLimit):
		s.become(Down, now)
	case s.state == Unknown && s.run >= s.timing.Multiplier && now-s.start >= patience:
		s.become(Unmonitored, now)
	}
	s.rest(now)
}

// waited is how long this host has listened for the answers that did not come: what it
// slept through does not count.
func (s *Session) waited() time.Duration { return time.Duration(s.run) * s.timing.Interval }

// rest puts the next probe off where nothing is missed by waiting a little. It
// was to leave an interval after the last one.
func (s *Session) rest(now time.Duration) {
	if s.suspended || s.state == Unmonitored || s.state == Down && now-s.since >= perseverance {
		s.next += max(slow-s.timing.Interval, 0)
	}
}

// Probe reports whether a probe is to be sent now, and with which sequence number.
// The caller sends it and says so by Sent.
func (s *Session) Probe(now time.Duration) (seq uint32, ok bool) {
	if s.outstanding || now < s.next {
		return 0, false
	}
	s.seq++
	if s.seq == 0 { // My Discriminator is never 0, RFC 5880 section 6.8.1
		s.seq++
	}
	s.outstanding = true
	s.probes[s.seq%window] = probe{seq: s.seq, at: now}
	if now > s.next+s.timing.Interval/2 {
		s.late(now)
	} else {
		s.next += s.timing.Interval
	}
	return s.seq, true
}

// Sent tells what became of the last probe, at the time when its system call
// returned.
func (s *Session) Sent(now time.Duration, ok bool) {
	if !ok {
		s.stats.Unsent++
		s.outstanding = false
		s.probes[s.seq%window] = probe{}
		s.rest(now)
		return
	}
	s.stats.Sent++
	if !s.started {
		s.started, s.start = true, now
	}
	if s.next-now < s.timing.Interval/2 {
		s.late(now)
	}
}

// late begins the case against the peer anew. What keeps the prober from its work may
// keep this host from receiving too, and may have begun with that.
func (s *Session) late(now time.Duration) {
	s.held = 0
	s.next = s.afresh(now)
}

// afresh is a full interval from now, and up to a quarter more: sessions that fall
// out of step would otherwise each wake the thread by themselves.
func (s *Session) afresh(now time.Duration) time.Duration {
	return roundUp(now+s.timing.Interval, s.timing.Interval/4)
}

// become reports whether that is a change.
func (s *Session) become(to State, now time.Duration) bool {
	if s.state == to {
		return false
	}
	s.state, s.since = to, now
	return true
}

// Snapshot is a session's state and figures at one time.
type Snapshot struct {
	State     State
	Since     time.Duration // of the state
	Suspended bool
	Run       int // probes in a row judged unanswered, up to now
	Stats     Stats
}

// Snapshot copies the session's state and figures.
func (s *Session) Snapshot() Snapshot {
	return Snapshot{State: s.state, Since: s.since, Suspended: s.suspended, Run: s.run, Stats: s.stats}
}

// roundUp is the next multiple of step.
func roundUp(d, step time.Duration) time.Duration {
	if step <= 0 {
		return d
	}
	return (d + step - 1) / step * step
}
