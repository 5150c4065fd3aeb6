// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hafast/internal/eventually"
)

func TestTimer(t *testing.T) {
	defer goleak.VerifyNone(t)
	timer, err := NewTimer()
	if err != nil {
		t.Fatal(err)
	}
	fires := func(what string, at time.Time) {
		t.Helper()
		select {
		case <-timer.C():
			if early := time.Until(at); early > 0 {
				t.Errorf("%s: fired %s early", what, early)
			}
		case <-time.After(eventually.Patience):
			t.Fatalf("%s: never fired", what)
		}
	}
	reset := func(at time.Time) time.Time {
		t.Helper()
		if err := timer.Reset(at); err != nil {
			t.Fatal(err)
		}
		return at
	}

	fires("in 3 ms", reset(time.Now().Add(3*time.Millisecond)))
	fires("in the past", reset(time.Now().Add(-time.Hour)))
	reset(time.Now().Add(time.Hour))
	fires("a later Reset counts", reset(time.Now().Add(time.Millisecond)))

	reset(time.Now().Add(time.Hour))
	if err := timer.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := timer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := timer.Reset(time.Now()); err == nil {
		t.Error("Reset after Close: no error")
	}
}

// BenchmarkLateness reports how late the timer is, beside a Go timer.
func BenchmarkLateness(b *testing.B) {
	const wait = 2300 * time.Microsecond
	report := func(b *testing.B, wake func(at time.Time)) {
		late := make([]time.Duration, 0, b.N)
		for b.Loop() {
			at := time.Now().Add(wait)
			wake(at)
			late = append(late, time.Since(at))
		}
		slices.Sort(late)
		b.ReportMetric(float64(late[len(late)/2].Microseconds()), "median-us-late")
		b.ReportMetric(float64(late[len(late)-1].Microseconds()), "max-us-late")
	}
	b.Run("timerfd", func(b *testing.B) {
		timer, err := NewTimer()
		if err != nil {
			b.Fatal(err)
		}
		defer timer.Close()
		report(b, func(at time.Time) {
			if err := timer.Reset(at); err != nil {
				b.Fatal(err)
			}
			<-timer.C()
		})
	})
	b.Run("time.Timer", func(b *testing.B) {
		timer := time.NewTimer(time.Hour)
		report(b, func(at time.Time) {
			timer.Reset(time.Until(at))
			<-timer.C
		})
	})
}
