// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/config"
)

func TestSchedule(t *testing.T) {
	const ms = time.Millisecond
	seed := config.Announce{Count: 3, Interval: 20 * ms, RepeatDelay: 5 * time.Second, Refresh: time.Minute}
	tests := []struct {
		name string
		plan config.Announce
		// late is by how much the caller misses each time.
		late time.Duration
		want []time.Duration
		ends bool
	}{
		{
			name: "burst, repeat, refresh",
			plan: seed,
			want: []time.Duration{0, 20 * ms, 40 * ms, 5000 * ms, 5020 * ms, 5040 * ms, 65040 * ms, 125040 * ms},
		},
		{
			name: "no repeat",
			plan: config.Announce{Count: 2, Interval: 20 * ms, Refresh: time.Second},
			want: []time.Duration{0, 20 * ms, 1020 * ms, 2020 * ms},
		},
		{
			name: "no refresh",
			plan: config.Announce{Count: 1, Interval: 20 * ms, RepeatDelay: time.Second},
			want: []time.Duration{0, 1000 * ms},
			ends: true,
		},
		{
			name: "one only",
			plan: config.Announce{},
			want: []time.Duration{0},
			ends: true,
		},
		{
			name: "a slightly late caller keeps the plan's times",
			plan: seed,
			late: 5 * ms,
			want: []time.Duration{0, 20 * ms, 40 * ms, 5000 * ms, 5020 * ms},
		},
		{
			name: "a very late caller does not bunch up",
			plan: config.Announce{Count: 3, Interval: 20 * ms, RepeatDelay: 50 * ms},
			late: 100 * ms,
			want: []time.Duration{0, 120 * ms, 240 * ms, 340 * ms, 460 * ms, 580 * ms},
			ends: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			s := NewSchedule(test.plan, start)
			var got []time.Duration
			for range test.want {
				next, ok := s.Next()
				if !ok {
					break
				}
				got = append(got, next.Sub(start))
				if s.Due(next.Add(-time.Nanosecond)) {
					t.Fatalf("due before %v", next.Sub(start))
				}
				if !s.Due(next.Add(test.late)) {
					t.Fatalf("not due at %v", next.Sub(start))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if _, more := s.Next(); more == test.ends {
				t.Errorf("more to come: %v, want %v", more, !test.ends)
			}
			if test.ends && s.Due(start.Add(time.Hour)) {
				t.Error("due after the end")
			}
		})
	}
}
