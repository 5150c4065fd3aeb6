// SPDX-License-Identifier: Apache-2.0

package share

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/test/netns/lab"
	"hafast/test/netns/path/load"
)

func TestMain(m *testing.M) {
	load.Main()
	os.Exit(m.Run())
}

func sampleReport() *Report {
	result := func(system string, rate, standby float64) Result {
		return Result{
			System: system, Rate: rate, Failed: 1, Active: Host{0.2, 0.9}, Standby: Host{standby, standby * 4},
			Client: 0.3, Web: 0.1, IdleShare: 0.55,
		}
	}
	return &Report{
		Date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Command: "make bench-share", Rounds: 2, WindowS: 3, Quota: 0.2,
		Results: []Result{
			result("hafast, shared", 3900, 0.2), result(local, 2000, 0),
			result("hafast, shared", 3700, 0.2), result(local, 2000, 0),
		},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
each haproxy may use  system          requests/s, median  max   against local  failed  haproxy CPU, active  standby  throttled, active  standby  client CPU  web CPU  machine idle
20 % of a core        hafast, shared  3800                3900  1.90 x         2       20 %                 20 %     90 %               80 %     30 %        10 %     55 %
                      hafast, local   2000                2000  1.00 x         2       20 %                 0 %      90 %               0 %      30 %        10 %     55 %
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
	for _, want := range []string{"<!-- share:begin -->", "| 20 % of a core | hafast, shared | 3800 | 3900 | 1.90 x |", "may use 20 %", "`make bench-share`"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

// TestTheHAProxyIsTheLimit measures a keepalived pair for a moment. It looks at what was
// throttled, not at how quick it was.
func TestTheHAProxyIsTheLimit(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived")
	l := lab.ForTest(t, lab.Options{})
	runner := Runner{Lab: l, Quota: 0.1, Window: 500 * time.Millisecond}
	got, err := runner.Run(t.Context(), lab.KeepalivedTuned())
	if errors.Is(err, lab.ErrNoCPUController) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", got)
	if got.Rate == 0 || got.Active.Throttled == 0 {
		t.Errorf("%+v: nothing was asked of it", got)
	}
	if got.Standby.Throttled > got.Active.Throttled/2 {
		t.Errorf("%+v: the standby worked as well", got)
	}
}
