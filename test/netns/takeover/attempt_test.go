// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = int64(time.Millisecond)

// sequence makes one attempt per letter and millisecond: '.' is served at once,
// 'R' refused at once, 'T' times out.
func sequence(letters string) []Attempt {
	var attempts []Attempt
	for i, letter := range letters {
		a := Attempt{Start: int64(i) * ms, Took: time.Millisecond / 2}
		switch letter {
		case 'R':
			a.Outcome = Refused
		case 'T':
			a.Outcome, a.Took = TimedOut, AttemptTimeout
		}
		attempts = append(attempts, a)
	}
	return attempts
}

func TestFindOutage(t *testing.T) {
	tests := []struct {
		name     string
		attempts string
		// fault is the millisecond of the fault.
		fault int64
		want  Outage
	}{
		{
			"nothing fails", "..........", 5,
			Outage{Attempts: 5, Recovered: true},
		},
		{
			"a gap", "....TTT...", 4,
			Outage{Duration: 3 * time.Millisecond, Attempts: 6, Failed: 3, Interruptions: 1, Recovered: true},
		},
		{
			"refusals count as well", "....RRRR..", 4,
			Outage{Duration: 4 * time.Millisecond, Attempts: 6, Failed: 4, Interruptions: 1, Recovered: true},
		},
		{
			"successes in between do not end it", "...T..T...", 3,
			Outage{Duration: 4 * time.Millisecond, Attempts: 7, Failed: 2, Interruptions: 1, Recovered: true},
		},
		{
			"under way at the fault", "..T.......", 4,
			Outage{Duration: time.Millisecond, Attempts: 7, Failed: 1, Interruptions: 1, Recovered: true},
		},
		{
			"over before the fault", ".R........", 5,
			Outage{Attempts: 5, Recovered: true, FailedBefore: 1},
		},
		{
			"never ends", ".....TTTTT", 5,
			Outage{Duration: 4 * time.Millisecond, Attempts: 5, Failed: 5, Interruptions: 1},
		},
		{
			"ends with a late failure", "...T.....T", 3,
			Outage{Duration: 6 * time.Millisecond, Attempts: 7, Failed: 2, Interruptions: 1},
		},
		{
			"in two pieces", "R" + strings.Repeat(".", 120) + "R.", 0,
			Outage{Duration: 122 * time.Millisecond, Attempts: 123, Failed: 2, Interruptions: 2, Recovered: true},
		},
		{
			"no attempts", "", 0,
			Outage{Recovered: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			attempts := sequence(tt.attempts)
			// They arrive in the order of their ends.
			rand.Shuffle(len(attempts), func(i, j int) { attempts[i], attempts[j] = attempts[j], attempts[i] })
			if diff := cmp.Diff(tt.want, FindOutage(attempts, tt.fault*ms)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAttemptJSON(t *testing.T) {
	want := []Attempt{
		{Start: 123456789, Took: 250 * time.Microsecond},
		{Start: 1 << 60, Took: AttemptTimeout, Outcome: TimedOut},
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []Attempt
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`["x",1,2]`, `{}`, `[1.5,2,3]`} {
		if err := json.Unmarshal([]byte(bad), new(Attempt)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
