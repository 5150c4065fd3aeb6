// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"slices"
	"testing"
	"time"
)

// TestCadence plays events and lists when hellos are sent, in ms.
func TestCadence(t *testing.T) {
	type events = map[int]func(*cadence, time.Time)
	news, soon := (*cadence).news, (*cadence).soon
	for _, test := range []struct {
		name   string
		events events
		want   []int
	}{
		{"nothing happens", nil, []int{0, 100, 200, 300}},
		{"news at once, and three times more", events{150: news}, []int{0, 100, 150, 155, 160, 165, 265}},
		{"news right after a hello waits for the gap", events{102: news}, []int{0, 100, 105, 110, 115, 120, 220, 320}},
		{"more news begins again", events{150: news, 157: news}, []int{0, 100, 150, 155, 160, 165, 170, 175, 275}},
		{"news right before the beat", events{98: news}, []int{0, 98, 103, 108, 113, 213, 313}},
		{"somebody has come", events{130: soon}, []int{0, 100, 130, 230, 330}},
		{"somebody has come among news", events{150: news, 152: soon}, []int{0, 100, 150, 155, 160, 165, 265}},
		{"many have come", events{130: soon, 131: soon, 134: soon}, []int{0, 100, 130, 135, 235, 335}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c cadence
			var got []int
			start := time.Unix(1000, 0)
			for ms := range 340 {
				now := start.Add(time.Duration(ms) * time.Millisecond)
				if event := test.events[ms]; event != nil {
					event(&c, now)
				}
				if c.due(now) {
					c.sent(now)
					got = append(got, ms)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("sent at %v, want %v", got, test.want)
			}
		})
	}
}
