// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// idle is the longest sleep: how long a new plan or a goodbye may wait.
	idle = 20 * time.Millisecond

	// The thread's budget under SCHED_DEADLINE. A tick takes some 20 us for each
	// peer on the lab's virtual wires, where the kernel delivers a packet within
	// the call that sends it. The deadline is the period: with an earlier one the
	// kernel would keep a thread that wakes up between the two waiting for the
	// next period.
	budget       = 600 * time.Microsecond
	budgetPeriod = 2 * time.Millisecond
)

// Scheduling is what the prober's thread runs under.
type Scheduling string

// What the thread may get.
const (
	Deadline  Scheduling = "deadline"  // SCHED_DEADLINE with a budget of its own
	Inherited Scheduling = "inherited" // what the process has
)

// hurry makes the calling thread punctual. The error tells why it is only
// Inherited.
func hurry() (Scheduling, error) {
	// Timers of ordinary threads are put off by up to 50 us otherwise. An error
	// costs just that.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	attr := unix.SchedAttr{
		Policy: unix.SCHED_DEADLINE,
		// Threads that the runtime might make from this one are ordinary ones.
		Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
		Runtime:  uint64(budget),
		Deadline: uint64(budgetPeriod),
		Period:   uint64(budgetPeriod),
	}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return Inherited, fmt.Errorf("ask for deadline scheduling: %w", err)
	}
	return Deadline, nil
}

// thread is what runs on the prober's own thread. Nothing in it allocates, takes a
// lock or waits for a goroutine.
type thread struct {
	p     *Prober
	now   func() time.Duration
	plan  *plan
	doubt doubt
	fell  *member // the one that went Down last

	ask time.Duration // when the witness is asked again

	wake     unix.Timespec
	lateness Histogram
}

// run is the thread's life. The thread ends with it, for nobody else should
// inherit its scheduling. (Whoever gives all threads of the process a priority
// does so before.)
func (t *thread) run() {
	runtime.LockOSThread()
	class, err := hurry()
	t.p.scheduling.Store(&scheduled{class: class, err: err})
	for !t.p.stop.Load() {
		next := t.step(t.now())
		t.sleep(next)
	}
}

// sleep returns at the given time, or after a signal.
func (t *thread) sleep(until time.Duration) {
	t.wake = unix.NsecToTimespec(int64(until))
	if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t.wake, nil); err == nil {
		t.lateness.add(max(t.now()-until, 0))
	}
}

// step is one tick: it looks at every session and tells when it wants to be called
// again.
func (t *thread) step(now time.Duration) time.Duration {
	if plan := t.p.plan.Load(); plan != t.plan {
		t.adopt(plan, now)
	}
	var r roll
	moved := false
	next := now + idle
	for _, m := range t.plan.members {
		t.attend(m, now)
		moved = moved || m.moved
		switch state := m.session.State(); {
		case state.live():
			r.live++
			if m.session.Run() > 0 {
				r.quiet++
			}
		case m.moved && state == Down:
			r.fell++
			t.fell = m
		}
		next = min(next, m.session.Next())
	}
	verdict, doubted, wake := t.lookAtMyself(r, now)
	for _, m := range t.plan.members {
		if m.moved {
			n := notice{
				kind: changed, member: m, transition: m.pending,
				evidence: Evidence{Alive: r.alive(), Witness: verdict},
				doubted:  doubted,
			}
			m.current.Store(pack(n))
			t.p.mail.put(n)
		}
	}
	if moved || wake {
		t.p.mail.wake()
	}
	t.p.publish(t)
	return next
}

// lookAtMyself asks the witness while everybody is quiet. It returns what the
// witness has said, whether there was reason to ask, and whether a notice was left.
func (t *thread) lookAtMyself(r roll, now time.Duration) (verdict Verdict, doubted, wake bool) {
	var replies uint64
	if t.p.witness != nil {
		replies = t.p.witness.WitnessReplies()
	}
	begun, over := t.doubt.step(r, replies)
	doubted = t.doubt.on || over
	if t.plan.question != nil && doubted {
		verdict = t.doubt.verdict(replies)
	}
	if begun {
		t.p.mail.put(notice{kind: doubtBegun})
		t.ask = now
	}
	if over {
		t.p.mail.put(notice{kind: doubtOver, member: t.fell, evidence: Evidence{Witness: verdict}})
	}
	if t.doubt.on && t.plan.question != nil && now >= t.ask {
		t.plan.question.ask(t.p.packet)
		t.ask = now + t.plan.timing.Interval/2
	}
	return verdict, doubted, begun || over
}

// adopt takes up a new plan.
func (t *thread) adopt(plan *plan, now time.Duration) {
	for _, m := range plan.members {
		if !m.started {
			// On a common beat, so that one wake-up serves all.
			*m.session = *NewSession(plan.timing, m.seq, roundUp(now, plan.timing.Interval))
			m.started = true
		}
		m.session.SetTiming(plan.timing)
	}
	t.plan = plan
	t.doubt, t.fell = doubt{}, nil
}

// attend looks for the peer's reply and sends the next probe.
func (t *thread) attend(m *member, now time.Duration) {
	s := m.session
	m.moved = false
	if expected := m.expected.Load(); expected != m.told {
		m.told = expected
		if expected {
			s.Resume(now)
		} else {
			m.pending, m.moved = s.Suspend(now)
		}
	}
	if !m.moved {
		seq, state, at, _ := t.p.slots.Reply(m.peer.Slot)
		m.pending, m.moved = s.Observe(now, seq, state, at)
	}
	seq, due := s.Probe(t.now())
	if !due {
		return
	}
	// The program refuses replies to what is not yet known to be sent.
	t.p.slots.SetSent(m.peer.Slot, seq)
	m.packet(t.plan.timing, seq).Append(m.envelope.payload[:0])
	errno := m.envelope.send()
	s.Sent(t.now(), errno == 0)
	if errno != 0 {
		m.errno = errno
	}
}
