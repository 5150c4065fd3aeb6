// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"

	"pgregory.net/rapid"
)

func TestScore(t *testing.T) {
	up := func(weight int) Check { return Check{Name: "c", Up: true, Weight: weight} }
	down := func(weight int) Check { return Check{Name: "c", Weight: weight, Detail: "exit status 1"} }
	file := func(value, weight int) Check {
		return Check{Name: "f", Kind: KindFile, Up: true, Value: value, Weight: weight}
	}
	for _, tc := range []struct {
		name   string
		base   uint8
		checks []Check
		want   uint8
		out    string
	}{
		{"no checks", 100, nil, 100, ""},
		{"seed: host 1, haproxy runs", 101, []Check{up(2)}, 103, ""},
		{"seed: host 2, haproxy runs", 100, []Check{up(2)}, 102, ""},
		{"seed: host 1, haproxy killed: host 2's 102 wins", 101, []Check{down(2)}, 101, ""},
		{"negative weight, up", 100, []Check{up(-30)}, 100, ""},
		{"negative weight, down", 100, []Check{down(-30)}, 70, ""},
		{"weight 0, up", 100, []Check{up(0)}, 100, ""},
		{"weight 0, down", 100, []Check{down(0)}, 0, "c: exit status 1"},
		{"the first of two", 100, []Check{{Name: "haproxy", Detail: "killed by signal 9, pid 12"}, down(0)}, 0, "haproxy: killed by signal 9, pid 12"},
		{"down without a detail", 100, []Check{{Name: "c"}}, 0, "c: down"},
		{"sum is clamped, not its parts", 100, []Check{up(200), down(-100)}, 200, ""},
		{"clamped above", 200, []Check{up(100)}, 254, ""},
		{"clamped below", 10, []Check{down(-100)}, 1, ""},
		{"owner ignores weights", 255, []Check{down(-100), file(-5, 1)}, 255, ""},
		{"owner without haproxy", 255, []Check{down(0)}, 0, "c: exit status 1"},
		{"file", 100, []Check{file(-3, 5)}, 85, ""},
		{"file, negative weight", 100, []Check{file(3, -5)}, 85, ""},
		{"unreadable file adds nothing", 100, []Check{{Name: "f", Kind: KindFile, Weight: 5}}, 100, ""},
		{"huge number", 100, []Check{file(1<<62, 4)}, 254, ""},
		{"least product", 254, []Check{file(-253, 1)}, 1, ""},
		{"file says fault", 100, []Check{file(-254, 1)}, 0, "f: number is -254"},
		{"file of weight 0, zero", 100, []Check{file(0, 0)}, 100, ""},
		{"file of weight 0, not zero", 100, []Check{file(7, 0)}, 0, "f: number is 7"},
		{"file of weight 0, unreadable", 100, []Check{{Name: "f", Kind: KindFile, Detail: "file does not exist"}}, 0, "f: file does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, out := Score(tc.base, tc.checks)
			if got != tc.want || out != tc.out {
				t.Errorf("Score = %d, %q; want %d, %q", got, out, tc.want, tc.out)
			}
		})
	}
}

// A check that gets better never lowers the priority, and the result is always
// one that may be advertised.
func TestScoreIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		check := rapid.Custom(func(t *rapid.T) Check {
			return Check{
				Name:   "c",
				Kind:   rapid.SampledFrom([]Kind{KindState, KindFile}).Draw(t, "kind"),
				Up:     rapid.Bool().Draw(t, "up"),
				Weight: rapid.IntRange(-300, 300).Draw(t, "weight"),
				Value:  rapid.Int().Draw(t, "value"),
			}
		})
		base := rapid.Uint8Range(1, 254).Draw(t, "base")
		checks := append(rapid.SliceOfN(check, 0, 5).Draw(t, "checks"), Check{
			Name: "last", Weight: rapid.IntRange(-253, 253).Draw(t, "last"),
		})
		worse, _ := Score(base, checks)
		checks[len(checks)-1].Up = true
		better, out := Score(base, checks)
		if better < worse {
			t.Fatalf("up gives %d, down %d", better, worse)
		}
		if (out == "") != (better >= 1 && better <= 254) {
			t.Fatalf("priority %d, out of service %q", better, out)
		}
	})
}
