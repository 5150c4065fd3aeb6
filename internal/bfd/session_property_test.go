// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDetectionTime is the promise to the user: a peer that dies at any time is
// Down within multiplier + 1.5 intervals, by a prober that is on time within a
// tenth of an interval.
func TestDetectionTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timing := Timing{
			Interval:   time.Duration(rapid.IntRange(200, 100_000).Draw(t, "interval us")) * time.Microsecond,
			Multiplier: rapid.IntRange(1, 10).Draw(t, "multiplier"),
		}
		s := NewSession(timing, 0, 0)
		late := rapid.Custom(func(t *rapid.T) time.Duration {
			return timing.Interval * time.Duration(rapid.IntRange(0, 100).Draw(t, "late")) / 1000
		})
		rtt := timing.Interval / 10
		death := timing.Interval*3 + timing.Interval*time.Duration(rapid.IntRange(0, 3000).Draw(t, "death"))/1000
		var held, flying reply
		for now := time.Duration(0); ; now = s.Next() + late.Draw(t, "by") {
			if flying.seq != 0 && flying.at <= now {
				held = flying
			}
			if tr, ok := s.Observe(now, held.seq, held.state, held.at); ok && tr.To == Down {
				if limit := death + time.Duration((float64(timing.Multiplier)+1.5)*float64(timing.Interval)); now > limit {
					t.Fatalf("died at %s, down at %s, limit %s", death, now, limit)
				}
				return
			}
			if seq, ok := s.Probe(now); ok {
				s.Sent(now, true)
				if now < death {
					flying = reply{seq: seq, state: uint8(WireUp), at: now + rtt}
				}
			}
			if now > time.Minute {
				t.Fatal("never down")
			}
		}
	})
}

// TestNeverAccusesUnheard plays any schedule of ticks, pauses, losses, late and
// failed sends, and counts by itself: Down needs as many probes that left in a
// row, of which nothing was in the map an interval after that, give or take half.
func TestNeverAccusesUnheard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timing := Timing{Interval: 2 * ms, Multiplier: rapid.IntRange(1, 5).Draw(t, "multiplier")}
		s := NewSession(timing, rapid.Uint32().Draw(t, "start"), 0)
		type out struct {
			seq  uint32
			left time.Duration
		}
		var unanswered []out
		var held reply
		sent := uint64(0)
		now := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "ticks") {
			now += rapid.SampledFrom([]time.Duration{ms / 10, ms, 2 * ms, 2 * ms, 2 * ms, 3 * ms, 5 * ms, 300 * ms}).Draw(t, "wait")
			if len(unanswered) > 0 && rapid.IntRange(0, 3).Draw(t, "reply") == 0 {
				i := rapid.IntRange(0, len(unanswered)-1).Draw(t, "to")
				o := unanswered[i]
				state := rapid.SampledFrom([]WireState{WireUp, WireAdminDown}).Draw(t, "state")
				held = reply{seq: o.seq, state: uint8(state), at: now}
				unanswered = unanswered[i+1:]
			}
			before := s.State()
			tr, changed := s.Observe(now, held.seq, held.state, held.at)
			if changed && tr.To == Down {
				if !before.live() {
					t.Fatalf("%s went down", before)
				}
				n := 0
				for _, o := range unanswered {
					if now-o.left >= timing.Interval/2 {
						n++
					}
				}
				if n < timing.Multiplier {
					t.Fatalf("down with %d probes unanswered", n)
				}
			}
			if seq, ok := s.Probe(now); ok {
				took := rapid.SampledFrom([]time.Duration{0, 0, 0, ms, 30 * ms}).Draw(t, "took")
				left := rapid.IntRange(0, 9).Draw(t, "fails") > 0
				now += took
				s.Sent(now, left)
				if left {
					sent++
					unanswered = append(unanswered, out{seq, now})
				}
			}
			if s.Next() <= now && s.outstanding {
				t.Fatalf("at %s the next step is due at %s", now, s.Next())
			}
		}
		st := s.Snapshot().Stats
		outstanding := uint64(0)
		if s.outstanding {
			outstanding = 1
		}
		if st.Sent != sent || st.Sent != st.Answered+st.Missed+outstanding {
			t.Fatalf("%d sent, %d outstanding: %s", sent, outstanding, st)
		}
	})
}

// TestPausedProberAccusesNobody: a peer answers everything, but this host stands
// still now and then, and its network card with it: what came in meanwhile is in
// the map only a while after the prober runs again, a while that is no longer than
// the pause, and less than an interval.
func TestPausedProberAccusesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timing := Timing{Interval: 2 * ms, Multiplier: rapid.IntRange(2, 5).Draw(t, "multiplier")}
		s := NewSession(timing, 0, 0)
		var held reply
		var flying []reply
		for range rapid.IntRange(10, 300).Draw(t, "ticks") {
			pause := rapid.SampledFrom([]time.Duration{0, 0, 0, ms / 10, ms, 2 * ms, 20 * ms, time.Minute}).Draw(t, "pause")
			backlog := min(pause, rapid.SampledFrom([]time.Duration{0, ms, 1900 * time.Microsecond}).Draw(t, "backlog"))
			now := s.Next() + pause
			for i := range flying {
				if flying[i].at > s.Next() {
					flying[i].at = max(flying[i].at, now+backlog)
				}
			}
			for len(flying) > 0 && flying[0].at <= now {
				held, flying = flying[0], flying[1:]
			}
			if tr, ok := s.Observe(now, held.seq, held.state, held.at); ok && tr.To != Up {
				t.Fatalf("%s -> %s", tr.From, tr.To)
			}
			if seq, ok := s.Probe(now); ok {
				s.Sent(now, true)
				flying = append(flying, reply{seq: seq, state: uint8(WireUp), at: now + backlog + 100*time.Microsecond})
			}
		}
	})
}
