// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// normal is the pace of most tests.
var normal = Timing{Interval: 2 * ms, Multiplier: 3}

// script drives a session by hand, on a clock that only it moves.
type script struct {
	t    testing.TB
	s    *Session
	now  time.Duration
	sent []uint32 // sequence numbers, in order
	log  []Transition
	// what the map holds
	seq   uint32
	state WireState
	at    time.Duration
}

func newScript(t testing.TB, timing Timing) *script {
	return &script{t: t, s: NewSession(timing, 1000, time.Second), now: time.Second}
}

// tick lets the prober look at the session now.
func (c *script) tick() {
	if tr, ok := c.s.Observe(c.now, c.seq, uint8(c.state), c.at); ok {
		c.log = append(c.log, tr)
	}
	if seq, ok := c.s.Probe(c.now); ok {
		c.sent = append(c.sent, seq)
		c.s.Sent(c.now, true)
	}
}

// answer puts a reply to the last probe into the map.
func (c *script) answer(state WireState) { c.reply(c.sent[len(c.sent)-1], state) }

func (c *script) reply(seq uint32, state WireState) {
	c.seq, c.state, c.at = seq, state, c.now+50*time.Microsecond
}

// wait moves the clock and ticks.
func (c *script) wait(d time.Duration) {
	c.now += d
	c.tick()
}

// silence is n ticks on time without an answer.
func (c *script) silence(n int) {
	for range n {
		c.wait(c.s.timing.Interval)
	}
}

// up brings the session up.
func (c *script) up() {
	c.tick()
	c.answer(WireUp)
	c.wait(c.s.timing.Interval)
	c.is(Up)
	c.log = nil
}

func (c *script) is(want State) {
	c.t.Helper()
	if got := c.s.State(); got != want {
		c.t.Fatalf("at %s the session is %s, want %s", c.now, got, want)
	}
}

func (c *script) stats(of func(Stats) uint64, want uint64) {
	c.t.Helper()
	if got := of(c.s.Snapshot().Stats); got != want {
		c.t.Errorf("counted %d, want %d: %s", got, want, c.s.Snapshot().Stats)
	}
}

func TestSession(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(c *script)
	}{
		{"unknown until the first reply", func(c *script) {
			c.tick()
			c.is(Unknown)
			c.silence(2)
			c.is(Unknown)
			c.answer(WireUp)
			c.wait(2 * ms)
			c.is(Up)
		}},
		{"down after as many misses as the multiplier", func(c *script) {
			c.up()
			c.silence(2)
			c.is(Up)
			c.silence(1)
			c.is(Down)
			want := []Transition{{From: Up, To: Down, At: c.now, Run: 3}}
			if diff := cmp.Diff(want, c.log); diff != "" {
				c.t.Errorf("transitions (-want +got):\n%s", diff)
			}
		}},
		{"a reply ends a run of misses", func(c *script) {
			c.up()
			c.silence(2)
			c.answer(WireUp)
			c.wait(2 * ms)
			c.silence(2)
			c.is(Up)
			c.stats(func(s Stats) uint64 { return s.Runs[1] }, 1)
		}},
		{"admin_down is believed at once", func(c *script) {
			c.up()
			c.answer(WireAdminDown)
			c.wait(2 * ms)
			c.is(AdminDown)
		}},
		{"admin_down can go down, and come up", func(c *script) {
			c.tick()
			c.answer(WireAdminDown)
			c.wait(2 * ms)
			c.is(AdminDown)
			c.silence(3)
			c.is(Down)
			c.answer(WireUp)
			c.wait(2 * ms)
			c.is(Up)
		}},
		{"down comes back out of service", func(c *script) {
			c.up()
			c.silence(3)
			c.answer(WireAdminDown)
			c.wait(2 * ms)
			c.is(AdminDown)
		}},
		{"a late reply counts for its run, and as late", func(c *script) {
			c.up()
			old := c.sent[len(c.sent)-1]
			c.silence(1)
			c.reply(old, WireUp)
			c.silence(3) // the first of these finds the reply
			c.is(Down)   // and then the last three are missing
			c.stats(func(s Stats) uint64 { return s.Late }, 1)
		}},
		{"who never answered does not speak S-BFD, and is probed slowly", func(c *script) {
			c.tick()
			c.silence(int(patience / normal.Interval))
			c.is(Unmonitored)
			before := len(c.sent)
			for range 5 * 500 {
				c.wait(2 * ms)
			}
			if n := len(c.sent) - before; n != 5 {
				c.t.Errorf("%d probes in 5 s, want 5", n)
			}
			c.is(Unmonitored)
			for !c.s.outstanding {
				c.wait(2 * ms)
			}
			c.answer(WireUp)
			c.wait(2 * ms)
			c.is(Up)
			before = len(c.sent)
			c.answer(WireUp)
			c.silence(3)
			if n := len(c.sent) - before; n != 3 {
				c.t.Errorf("%d probes in 3 intervals, want 3", n)
			}
		}},
		{"one that is down for long is probed slowly", func(c *script) {
			c.up()
			c.silence(3 + int(perseverance/normal.Interval))
			c.is(Down)
			before := len(c.sent)
			for range 1500 {
				c.wait(2 * ms)
			}
			if n := len(c.sent) - before; n != 3 {
				c.t.Errorf("%d probes in 3 s, want 3", n)
			}
		}},
		{"after a pause the probe gets a full further interval", func(c *script) {
			c.up()
			c.wait(time.Second)
			c.wait(ms) // not due yet
			c.is(Up)
			c.stats(func(s Stats) uint64 { return s.Missed }, 0)
			c.stats(func(s Stats) uint64 { return s.Paused }, 1)
			c.wait(ms)
			c.stats(func(s Stats) uint64 { return s.Missed }, 1)
		}},
		{"after a pause the beat is one that others share", func(c *script) {
			c.up()
			c.wait(time.Second + 137*time.Microsecond)
			if next := c.s.Next(); next%(normal.Interval/4) != 0 || next < c.now+normal.Interval {
				c.t.Errorf("at %s the next step is at %s", c.now, next)
			}
		}},
		{"an answer that is there after a pause counts", func(c *script) {
			c.up()
			c.answer(WireUp)
			c.wait(time.Second)
			c.stats(func(s Stats) uint64 { return s.Paused }, 0)
			c.stats(func(s Stats) uint64 { return s.Missed }, 0)
			c.stats(func(s Stats) uint64 { return s.Answered }, 2)
		}},
		{"half an interval late is on time, more is not", func(c *script) {
			c.up()
			c.wait(3 * ms)
			c.stats(func(s Stats) uint64 { return s.Missed }, 1)
			c.now = c.s.Next() + ms + 1
			c.tick()
			c.stats(func(s Stats) uint64 { return s.Missed }, 1)
			c.stats(func(s Stats) uint64 { return s.Paused }, 1)
		}},
		{"what went unanswered before a pause counts no more", func(c *script) {
			c.up()
			c.silence(2)
			c.wait(38 * ms)
			c.is(Up)
			for range normal.Multiplier - 1 {
				c.now = c.s.Next()
				c.tick()
				c.is(Up)
			}
			c.now = c.s.Next()
			c.tick()
			c.is(Down)
			want := []Transition{{From: Up, To: Down, At: c.now, Run: 5}}
			if diff := cmp.Diff(want, c.log); diff != "" {
				c.t.Errorf("transitions (-want +got):\n%s", diff)
			}
			c.stats(func(s Stats) uint64 { return s.Missed }, 5)
			c.stats(func(s Stats) uint64 { return uint64(s.LongestRun) }, 5)
		}},
		{"a prober that is late again and again finds a death after a second of listening", func(c *script) {
			c.up()
			misses := int(lateLimit / normal.Interval)
			for range misses - 1 {
				c.silence(1)
				c.is(Up)
				c.now = c.s.Next() + normal.Interval // late: the case begins anew
				c.tick()
			}
			c.is(Up)
			c.silence(1)
			c.is(Down)
		}},
		{"nor does what did before a probe that left late", func(c *script) {
			c.up()
			c.silence(1)
			c.now += 2 * ms
			c.s.Observe(c.now, c.seq, uint8(c.state), c.at)
			if _, ok := c.s.Probe(c.now); !ok {
				c.t.Fatal("no probe")
			}
			c.now += 38 * ms // in the system call
			c.s.Sent(c.now, true)
			for range normal.Multiplier - 1 {
				c.now = c.s.Next()
				c.tick()
				c.is(Up)
			}
			c.now = c.s.Next()
			c.tick()
			c.is(Down)
		}},
		{"a probe that leaves late gets a full interval", func(c *script) {
			c.up()
			c.answer(WireUp)
			c.now += 2 * ms
			c.s.Observe(c.now, c.seq, uint8(c.state), c.at)
			if _, ok := c.s.Probe(c.now); !ok {
				c.t.Fatal("no probe")
			}
			c.now += 1500 * time.Microsecond // in the system call
			c.s.Sent(c.now, true)
			if left := c.s.Next() - c.now; left < normal.Interval {
				c.t.Errorf("judged after %s", left)
			}
		}},
		{"what could not be sent counts for nothing", func(c *script) {
			c.up()
			c.silence(2)
			for range 10 {
				c.now += 2 * ms
				c.s.Observe(c.now, c.seq, uint8(c.state), c.at)
				if _, ok := c.s.Probe(c.now); !ok {
					c.t.Fatal("no probe")
				}
				c.s.Sent(c.now, false)
			}
			// The one that had left before the trouble is the third miss.
			c.is(Down)
			c.stats(func(s Stats) uint64 { return s.Missed }, 3)
			c.stats(func(s Stats) uint64 { return s.Unsent }, 10)
		}},
		{"nobody goes down while nothing can be sent", func(c *script) {
			c.up()
			c.answer(WireUp)
			for range 1000 {
				c.now += 2 * ms
				c.s.Observe(c.now, c.seq, uint8(c.state), c.at)
				c.s.Probe(c.now)
				c.s.Sent(c.now, false)
			}
			c.is(Up)
		}},
		{"replies that answer nothing are ignored", func(c *script) {
			c.up()
			last := c.sent[len(c.sent)-1]
			c.reply(last+1, WireUp) // not sent yet
			c.wait(2 * ms)
			c.reply(last-window, WireUp)
			c.wait(2 * ms)
			c.reply(c.sent[0], WireAdminDown) // older than the last one heard, or the same
			c.wait(2 * ms)
			c.is(Down)
			c.stats(func(s Stats) uint64 { return s.Ignored }, 3)
		}},
		{"an old reply is remembered for 256 probes", func(c *script) {
			c.up()
			old := c.sent[len(c.sent)-1]
			c.silence(window - 1)
			c.is(Down)
			c.reply(old, WireUp)
			c.tick()
			c.is(Up)
		}},
		{"and no longer", func(c *script) {
			c.up()
			old := c.sent[len(c.sent)-1]
			c.silence(window)
			c.reply(old, WireUp)
			c.tick()
			c.is(Down)
			c.stats(func(s Stats) uint64 { return s.Ignored }, 1)
		}},
		{"a reflector never says Down or Init", func(c *script) {
			c.up()
			for _, state := range []WireState{WireDown, WireInit, WireDown} {
				c.answer(state)
				c.wait(2 * ms)
			}
			c.is(Down)
			c.stats(func(s Stats) uint64 { return s.Ignored }, 3)
		}},
		{"what a predecessor's probes left in the map is ignored", func(c *script) {
			c.reply(77, WireUp)
			c.tick()
			c.wait(2 * ms)
			c.is(Unknown)
			c.stats(func(s Stats) uint64 { return s.Ignored }, 1)
		}},
		{"a goodbye ends expectations until resumed", func(c *script) {
			c.up()
			tr, ok := c.s.Suspend(c.now)
			if want := (Transition{From: Up, To: Unmonitored, At: c.now}); !ok || tr != want {
				c.t.Errorf("suspend: %+v, %v", tr, ok)
			}
			c.answer(WireUp)
			c.wait(2 * ms)
			c.is(Unmonitored)
			c.silence(100)
			c.is(Unmonitored)
			c.s.Resume(c.now)
			c.is(Unknown)
			c.silence(5)
			c.answer(WireUp)
			c.wait(2 * ms)
			c.is(Up)
			for i := range RunLengths { // nobody expected it to answer
				c.stats(func(s Stats) uint64 { return s.Runs[i] }, 0)
			}
		}},
		{"the pace can change", func(c *script) {
			c.up()
			c.s.SetTiming(Timing{Interval: 10 * ms, Multiplier: 2})
			c.answer(WireUp)
			c.wait(2 * ms) // the probe that was out already
			c.wait(10 * ms)
			c.is(Up)
			c.wait(10 * ms)
			c.is(Down)
		}},
		{"a multiplier of one", func(c *script) {
			c.s.SetTiming(Timing{Interval: 2 * ms, Multiplier: 1})
			c.up()
			c.silence(1)
			c.is(Down)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.play(newScript(t, normal)) })
	}
}

func TestSequenceIsNeverZero(t *testing.T) {
	c := newScript(t, normal)
	c.s = NewSession(normal, 1<<32-3, c.now)
	c.tick()
	for range 4 {
		c.answer(WireUp)
		c.wait(2 * ms)
		c.is(Up)
	}
	want := []uint32{1<<32 - 2, 1<<32 - 1, 1, 2, 3}
	if diff := cmp.Diff(want, c.sent); diff != "" {
		t.Errorf("sequence (-want +got):\n%s", diff)
	}
	c.stats(func(s Stats) uint64 { return s.Answered }, 4)
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 16 * time.Microsecond, 16*time.Microsecond + 1, 65536 * time.Microsecond, time.Hour} {
		h.add(d)
	}
	want := Histogram{Count: 5, Sum: h.Sum, Last: time.Hour, Max: time.Hour}
	want.Buckets[0], want.Buckets[1], want.Buckets[Buckets-2], want.Buckets[Buckets-1] = 2, 1, 1, 1
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if bound, ok := BucketBound(Buckets - 2); !ok || bound != 65536*time.Microsecond {
		t.Errorf("bound %s, %v", bound, ok)
	}
	if _, ok := BucketBound(Buckets - 1); ok {
		t.Error("the last bucket has a bound")
	}
}
