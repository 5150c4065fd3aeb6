// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"strings"
	"testing"
	"time"
)

// legScript plays probes of which back reports whether they come back, and returns the
// states that follow, one letter each.
func legScript(l *Leg, script string) string {
	var states []byte
	now, last := time.Duration(0), uint32(0)
	seq, _ := l.Step(now, last)
	for _, c := range script {
		if c == '+' {
			last = seq
		}
		now += LegInterval
		seq, _ = l.Step(now, last)
		states = append(states, l.State().String()[0])
	}
	return string(states)
}

func TestLegStates(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"three make it proved", "+++++", "uuppp"},
		{"not with one between that is missing", "++-+++", "uuuuup"},
		{"eight missing in a row make it lost", "+++--------", "uup" + "ppppppp" + "l"},
		{"seven do not", "+++-------+", "uup" + "pppppppp"},
		{"nothing has ever come back", "---------", "uuuuuuu" + "ll"},
		{"lost needs ten", "--------++++++++++", "uuuuuuu" + "llllllllll" + "p"},
		{"and again ten", "--------+++++++++-++++++++++", "uuuuuuu" + "llllllllllllllllllll" + "p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := legScript(&Leg{}, c.script); got != c.want {
				t.Errorf("\n%s\ngot  %s\nwant %s", c.script, got, c.want)
			}
		})
	}
}

// TestLegOfASlowMachine: each probe comes back when the next two have left.
func TestLegOfASlowMachine(t *testing.T) {
	l := &Leg{}
	var sent []uint32
	for tick := range 100 {
		returned := uint32(0)
		if tick > 3 {
			returned = sent[tick-3]
		}
		seq, _ := l.Step(time.Duration(tick)*LegInterval, returned)
		sent = append(sent, seq)
	}
	if l.State() != LegProved {
		t.Errorf("now %v", l.State())
	}
}

// TestLegThatLosesHalf is lost, though never five in a row; one that loses a tenth is not.
func TestLegThatLosesHalf(t *testing.T) {
	half, tenth := &Leg{}, &Leg{}
	legScript(half, "+++"+strings.Repeat("+-", 60))
	legScript(tenth, "+++"+strings.Repeat("+++++++++-", 60))
	if half.State() != LegLost || tenth.State() != LegProved {
		t.Errorf("of half %v, of a tenth %v", half.State(), tenth.State())
	}
}

// TestLegIsJudgedByNumbersNotByTime: a prober that stood still, or was called twice in a
// row, accuses nobody; nor does one whose probe did not leave.
func TestLegIsJudgedByNumbersNotByTime(t *testing.T) {
	l := &Leg{}
	legScript(l, "+++")
	now := time.Hour
	seq, _ := l.Step(now, l.seq)
	for range 100 {
		now += time.Second
		if again, send := l.Step(now+LegInterval/3, seq); !send || again == seq {
			t.Fatalf("probe %d, sent %v", again, send)
		} else if _, send := l.Step(now+LegInterval/2, 0); send {
			t.Fatal("a probe right behind the other")
		} else {
			seq = again
		}
	}
	for range 100 {
		now += LegInterval
		l.Step(now, 0)
		l.Unsent()
	}
	if l.State() != LegProved {
		t.Errorf("now %v", l.State())
	}
}

// TestLegOfNobody: a peer that has not answered for a minute is asked once a second, and as
// often as before when it answers again.
func TestLegOfNobody(t *testing.T) {
	l := &Leg{}
	now := time.Duration(0)
	count := func(d time.Duration, returned uint32) (n int) {
		for end := now + d; now < end; now += LegInterval {
			if _, send := l.Step(now, returned); send {
				n++
			}
		}
		return n
	}
	if n, want := count(time.Minute, 0), int(time.Minute/LegInterval); n != want {
		t.Errorf("%d probes in the first minute, want %d", n, want)
	}
	count(LegInterval, 0)
	if n := count(time.Minute, 0); n < 58 || n > 62 {
		t.Errorf("%d probes in a later minute, want one a second", n)
	}
	count(2*time.Second, 1)
	if n := count(time.Second, 1); n != int(time.Second/LegInterval) {
		t.Errorf("%d probes in the second after an answer", n)
	}
}
