// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLagIsRight(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, top := range []time.Duration{10 * time.Microsecond, 5 * time.Millisecond, time.Second, 50 * time.Second} {
		var m lagMeter
		var all []time.Duration
		for i := range 5000 {
			d := time.Duration(random.Int64N(int64(top)))
			all = append(all, d)
			m.add(time.Duration(i)*time.Millisecond, d)
		}
		slices.Sort(all)
		got := m.lag(5 * time.Second)
		if got.Max != all[4999] || got.Samples != 5000 {
			t.Errorf("%+v, maximum is %v", got, all[4999])
		}
		for _, c := range []struct{ got, want time.Duration }{{got.P50, all[2499]}, {got.P99, all[4949]}} {
			if c.got < c.want || c.got > c.want+c.want/8+lagUnit {
				t.Errorf("up to %v: %v, not %v", top, c.got, c.want)
			}
		}
	}
}

func TestLagIsForgotten(t *testing.T) {
	var m lagMeter
	m.add(0, time.Second)
	m.add(9*time.Second, time.Hour)
	m.add(12*time.Second, time.Millisecond)
	if got := m.lag(19 * time.Second); got.Max != time.Hour || got.Samples != 3 {
		t.Errorf("after 19 s: %+v", got)
	}
	if got := m.lag(23 * time.Second); got.Max != time.Millisecond || got.Samples != 1 {
		t.Errorf("after 23 s: %+v", got)
	}
	if got := m.lag(time.Hour); got != (Lag{}) {
		t.Errorf("after an hour: %+v", got)
	}
}

func TestSuspects(t *testing.T) {
	var s suspects[int]
	var missing, different uint64
	for i := range 10 {
		s.add(time.Duration(i), i, &missing)
	}
	s.add(10, 99, &different)
	s.clear(3)
	s.clear(4)
	s.settle(suspectFor - 1)
	if missing != 0 {
		t.Errorf("%d are missing too early", missing)
	}
	s.settle(suspectFor + 10)
	if missing != 8 || different != 1 || len(s.since) > 0 {
		t.Errorf("%d missing, %d different, %d left", missing, different, len(s.since))
	}
	for i := range 3 * maxSuspects {
		s.add(0, i, &missing)
	}
	if want := uint64(8 + 2*maxSuspects); missing != want || len(s.since) != maxSuspects {
		t.Errorf("%d missing, not %d, of %d suspects", missing, want, len(s.since))
	}
}
