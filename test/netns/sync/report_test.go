// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/test/netns/figures"
)

func sampleReport() *Report {
	rate := func(system string, perSecond, sender, machine float64) Rate {
		return Rate{System: system, PerSecond: perSecond, Failed: 1, Cost: Cost{
			PerSecond: 1000, SenderUS: sender, ReceiverUS: sender / 2, MachineUS: machine, IdleActive: 0.02, IdleBackup: 0.01,
			SentBytes: 400, ReturnedBytes: 1,
		}}
	}
	lag := func(system string, load int, ms ...float64) Lag {
		return Lag{System: system, Load: load, MS: ms, Missing: 1, LookMS: 0.1}
	}
	return &Report{
		Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Command: "make bench-sync", Rounds: 2, WindowS: 5,
		Rates: []Rate{
			rate(none, 4000, 0, 250), rate("x", 3000, 200, 600),
			rate(none, 4200, 0, 250), rate("x", 3150, 210, 610),
		},
		Turns: []Turns{
			{System: "x", Without: none, With: []float64{90, 80}, Alone: []float64{100, 100}},
			{System: "x", Without: none, Round: 2, With: []float64{150}, Alone: []float64{200}},
		},
		Lags: []Lag{lag("x", 0, 1, 2), lag("x", 1000, 5), lag("y", 0), lag("x", 0, 3, 4)},
		Resyncs: []Resync{
			{System: "x", Entries: 1000, ReadyS: 1.5, ActiveMiB: 70, BackupMiB: 60, Takeover: Move{Alive: 90, QuickAlive: 9, QuickMS: 160, LongestMS: 1700}},
			{System: "x", Entries: 100, ReadyS: 0.5, Missing: 4, Takeover: Move{Alive: 0}},
		},
		Moves: []Moves{
			{System: "x", Plan: Plan{Planned: 2}, Held: 100, LoadOK: 90, LoadFailed: 10, Moves: []Move{
				{Alive: 98, QuickAlive: 10, QuickMS: 20, LongestMS: 200}, {Alive: 90, QuickAlive: 10, QuickMS: 40, LongestMS: 3400},
			}},
			{System: "x", Plan: Plan{Deaths: 1}, Held: 100, LoadOK: 100, Moves: []Move{{Alive: 100, QuickAlive: 10, QuickMS: 15, LongestMS: 20}}},
			{System: "y", Plan: Plan{Planned: 2}, Held: 100, LoadOK: 100, Moves: []Move{{}, {}}},
		},
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
Connections

system  connections/s  CPU each, sender  receiver  machine  idle, Active  Backup  bytes each, sent  returned  failed
none    4100           0.0 us            0.0 us             2.0 %         1.0 %   400               1         2

x       3075           205.0 us          102.5 us  +355 us  2.0 %         1.0 %   400               1         2

Connections, in turns

system  rate, of that of  median  quartiles   turns
x       none              80 %    75 %, 90 %  3

Lag

new connections/s  system  p50      p99      max      looked every  connections  never known
0                  x       2.00 ms  4.00 ms  4.00 ms  0.10 ms       4            2
                   y                                  0.10 ms       0            1

1000               x       5.00 ms  5.00 ms  5.00 ms  0.10 ms       1            1

Coming back

table  system  ready   never known  memory, Active  Backup  alive     silent  longest
100    x       0.50 s  4            0 MiB           0 MiB   0 / 100

1000   x       1.50 s  0            70 MiB          60 MiB  90 / 100  160 ms  1700 ms

Changing over

change      system  changes  alive, median  least  silent, median  most   longest  new ones failed
planned     x       2        94 / 100       90     30 ms           40 ms  3400 ms  10 of 100
            y       2        0 / 100        0                                      0 of 100

host death  x       1        100 / 100      100    15 ms           15 ms  20 ms    0 of 100
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestWriteDocs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "BENCHMARKS.md")
	if err := sampleReport().WriteDocs(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<!-- sync:begin -->", "### Changing over", "| planned | x | 2 | 94 / 100 | 90 |", "`make bench-sync`",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

// TestJSON keeps a report in which nothing was replicated.
func TestJSON(t *testing.T) {
	want := sampleReport()
	want.Lags = []Lag{{System: "z", Missing: 5}}
	path := filepath.Join(t.TempDir(), "sync.json")
	if err := figures.WriteJSON(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := figures.ReadJSON[Report](path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEmptyParts are left out, as when only one thing was measured.
func TestEmptyParts(t *testing.T) {
	r := Report{Moves: sampleReport().Moves}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "Lag") || !strings.Contains(b.String(), "Changing over") {
		t.Errorf("got\n%s", b.String())
	}
}
