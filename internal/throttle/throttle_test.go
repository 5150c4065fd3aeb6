// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// ask is one that wants to pass, and what it is to be told.
type ask struct {
	at   time.Duration // since the beginning
	kind string
	held uint64
	ok   bool
}

func TestPass(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration
		asks  []ask
	}{
		{"one a second", time.Second, []ask{
			{0, "a", 0, true},
			{0, "b", 0, true},
			{500 * time.Millisecond, "a", 0, false},
			{999 * time.Millisecond, "a", 0, false},
			{time.Second, "a", 2, true},
			{1500 * time.Millisecond, "b", 0, true},
			{1999 * time.Millisecond, "a", 0, false},
			{9 * time.Second, "a", 1, true},
			{20 * time.Second, "a", 0, true},
		}},
		{"the usual period", 0, []ask{
			{0, "a", 0, true},
			{Period - 1, "a", 0, false},
			{Period, "a", 1, true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Unix(0, 0)
			quiet := Throttle{Every: test.every}
			for _, a := range test.asks {
				if held, ok := quiet.Pass(start.Add(a.at), a.kind); held != a.held || ok != a.ok {
					t.Errorf("%s after %v: %d held, passes %v; want %d, %v", a.kind, a.at, held, ok, a.held, a.ok)
				}
			}
		})
	}
}

func TestErrorIsLoggedOnceAPeriodAndKind(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	var quiet Throttle
	for range 3 {
		quiet.Error(log, "flows are not read", errors.New("no memory"))
		quiet.Error(log, "flows are not written", errors.New("no room"))
	}
	got := out.String()
	for _, line := range []string{
		`level=ERROR msg="flows are not read" error="no memory" unreported=0`,
		`level=ERROR msg="flows are not written" error="no room" unreported=0`,
	} {
		if n := strings.Count(got, line); n != 1 {
			t.Errorf("%d times %s in\n%s", n, line, got)
		}
	}
}
