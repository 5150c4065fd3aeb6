// SPDX-License-Identifier: Apache-2.0

package path

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/test/netns/path/load"
)

func sampleReport() *Report {
	result := func(kind load.Kind, way string, rate, cpu, lost float64, failed uint64) Result {
		return Result{Load: kind, Way: way, Rate: rate, CPUus: cpu, LostShare: lost, Failed: failed}
	}
	return &Report{
		Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Command: "make bench-path", Rounds: 2, WindowS: 3,
		Results: []Result{
			result(load.Packets, dnatWay, 50000, 18, 0.25, 0),
			result(load.Packets, direct, 120000, 9, 0, 0),
			result(load.Packets, hafastWay, 100000, 10.5, 0, 0),
			result(load.Packets, hafastWay, 102000, 10.7, 0.01, 0),
			result(load.Requests, hafastWay, 10000, 180, 0, 3),
			result(load.Requests, hafastWay, 9000, 190, 0, 4),
		},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
load           way       per second, median  max     CPU each, median  beyond direct  lost    failed
udp packets    direct    120000              120000  9.00 us                          0.0 %   0
               hafast    101000              102000  10.60 us          +1.60 us       0.5 %   0
               nft dnat  50000               50000   18.00 us          +9.00 us       25.0 %  0

http requests  hafast    9500                10000   185.00 us                        0.0 %   7
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
	for _, want := range []string{"<!-- path:begin -->", "| udp packets | hafast | 101000 |", "2 rounds of 3 s", "`make bench-path`"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

func TestParseWay(t *testing.T) {
	for _, name := range WayNames() {
		if w, err := ParseWay(name); err != nil || w.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseWay("detour"); err == nil {
		t.Error("an unknown way was accepted")
	}
}
