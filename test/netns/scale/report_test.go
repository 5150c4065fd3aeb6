// SPDX-License-Identifier: Apache-2.0

package scale

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
	return &Report{
		Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Command: "make bench-scale", Rounds: 2,
		Machine: figures.Machine{Kernel: "6.18", CPUs: 2},
		Promotions: []Promotion{
			{System: "one", VIPs: 1000, Complete: true, FirstMS: 12, AllMS: 120, PhasesUS: map[string]float64{"address": 2500, "total": 4000}},
			{System: "one", VIPs: 1, Complete: true, FirstMS: 0.2, AllMS: 0.2, PhasesUS: map[string]float64{"address": 80}},
			{System: "two", VIPs: 1, Complete: true, FirstMS: 1, AllMS: 2},
			{System: "one", VIPs: 1, Complete: true, FirstMS: 0.4, AllMS: 0.6, PhasesUS: map[string]float64{"address": 100}},
			{System: "two", VIPs: 1, Missing: 1},
			{System: "two", VIPs: 1000, Missing: 3},
		},
		Costs: []Cost{{
			System: "one", Instances: 255, IntervalMS: 100, WindowS: 20.01, Changes: 2, LongestGapMS: 104.2,
			Hosts: []HostCost{
				{Role: "active", CPU: 3.14159, ScriptsCPU: 0.5, RSSMiB: 20.06, PSSMiB: 10, Transitions: 0},
				{Role: "backup", CPU: 2, RSSMiB: 19, PSSMiB: 9.5, Transitions: 4},
			},
		}},
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
From the new Active's first advert to its announcements:
VIPs  system  first VIP, median  max      all VIPs, median  max                reported address  reported announce  reported total
1     one     0.30 ms            0.40 ms  0.40 ms           0.60 ms            0.09 ms
      two     1.00 ms            1.00 ms  2.00 ms           1 of 2 incomplete

1000  one     12.0 ms            12.0 ms  120 ms            120 ms             2.50 ms                              4.00 ms
      two                                                   1 of 1 incomplete

The cost of a pair that nothing happens to:
instances                 system  host    CPU     scripts' CPU  RSS       PSS       transitions  changes on the wire  longest gap
255, adverts every 100ms  one     active  3.14 %  0.50 %        20.1 MiB  10.0 MiB  0            2                    104 ms
                          one     backup  2.00 %  0.00 %        19.0 MiB  9.5 MiB   4
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
		"<!-- scale:begin -->\n## Scale\n", "| 1 | one | 0.30 ms |", "| 255, adverts every 100ms | one | backup |",
		"over 20 s:", "Linux 6.18", "`make bench-scale`\n<!-- scale:end -->",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

func TestLastTakeover(t *testing.T) {
	type phase = struct {
		Name         string  `json:"name"`
		Microseconds float64 `json:"us"`
	}
	events := []event{
		{Kind: "takeover", Phases: []phase{{"address", 1}, {"routes", 2}}},
		{Kind: "takeover", Phases: []phase{{"address", 3}, {"total", 4}}},
		{Kind: "transition"},
	}
	if diff := cmp.Diff(map[string]float64{"address": 3, "total": 4}, lastTakeover(events)); diff != "" {
		t.Error(diff)
	}
}

func TestCountTransitions(t *testing.T) {
	const log = `Mon Nov 23 03:00:00 2026: Starting VRRP child process, pid=12
Mon Nov 23 03:00:00 2026: (VI_1) Entering BACKUP STATE (init)
Mon Nov 23 03:00:01 2026: (VI_1) Entering MASTER STATE
Mon Nov 23 03:00:01 2026: VRRP_Script(chk_haproxy) succeeded
Mon Nov 23 03:00:02 2026: (VI_2) Entering FAULT STATE
Mon Nov 23 03:00:02 2026: (VI_2) Changing effective priority from 101 to 103
`
	if n := countTransitions(log); n != 3 {
		t.Errorf("%d transitions", n)
	}
}
