// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	const tail = " S 17 42 42 0 -1 4194560 100 200 0 0 7 3 20 5 20 0 8 0 1000 2000 300"
	tests := []struct {
		name, line string
		want       process
		bad        bool
	}{
		{"plain", "42 (keepalived)" + tail, process{pid: 42, parent: 17, own: 100 * time.Millisecond, children: 250 * time.Millisecond}, false},
		{"brackets and spaces in the name", "42 (a) b (c)" + tail, process{pid: 42, parent: 17, own: 100 * time.Millisecond, children: 250 * time.Millisecond}, false},
		{"too short", "42 (keepalived) S 17", process{}, true},
		{"no name", "42 S 17", process{}, true},
		{"no number", "42 (x)" + strings.Replace(tail, " 7 3 ", " 7 x ", 1), process{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat(tt.line)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestUsageOfAddsUpTheTree(t *testing.T) {
	all := []process{
		{pid: 1, own: 1000},
		{pid: 10, parent: 1, own: 1, children: 20},
		{pid: 11, parent: 10, own: 300},
		{pid: 12, parent: 11, own: 4000, children: 50000},
		{pid: 20, parent: 1, own: 700000},
	}
	u, err := usageOf(10, all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[int]time.Duration{10: 1, 11: 300, 12: 4000}, u.processes); diff != "" {
		t.Error(diff)
	}
	if u.total != 54321 {
		t.Errorf("total %d", u.total)
	}
	if _, err := usageOf(99, all); !errors.Is(err, errNoProcess) {
		t.Errorf("a pid that is not there: %v", err)
	}
}

func TestSinceTellsScriptsFromTheDaemon(t *testing.T) {
	tests := []struct {
		name            string
		before, after   usage
		daemon, scripts time.Duration
	}{
		{
			name:   "a script came and went",
			before: usage{processes: map[int]time.Duration{1: 10}, total: 10},
			after:  usage{processes: map[int]time.Duration{1: 15}, total: 35},
			daemon: 5, scripts: 20,
		},
		{
			name:   "a script was running at the first reading",
			before: usage{processes: map[int]time.Duration{1: 10, 2: 3}, total: 13},
			after:  usage{processes: map[int]time.Duration{1: 15}, total: 22},
			daemon: 5, scripts: 4,
		},
		{
			name:   "a script is running at the second reading",
			before: usage{processes: map[int]time.Duration{1: 10}, total: 10},
			after:  usage{processes: map[int]time.Duration{1: 15, 2: 3}, total: 18},
			daemon: 5, scripts: 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			daemon, scripts := tt.after.since(tt.before)
			if daemon != tt.daemon || scripts != tt.scripts {
				t.Errorf("daemon %d, scripts %d; want %d and %d", daemon, scripts, tt.daemon, tt.scripts)
			}
		})
	}
}

func TestReadUsageOfARealTree(t *testing.T) {
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = child.Wait()
	})
	u, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := u.processes[child.Process.Pid]; !ok {
		t.Errorf("the child is not among %v", u.processes)
	}
	m, err := u.readMemory()
	if err != nil {
		t.Fatal(err)
	}
	if m.rss < 1<<20 || m.pss == 0 || m.pss > m.rss {
		t.Errorf("implausible: %+v", m)
	}
}

func TestParseRollup(t *testing.T) {
	const text = `55d9c0a5c000-7ffd7b5f3000 ---p 00000000 00:00 0    [rollup]
Rss:                3072 kB
Pss:                1024 kB
Pss_Anon:            512 kB
`
	got, err := parseRollup(strings.NewReader(text))
	if err != nil || got != (memory{rss: 3 << 20, pss: 1 << 20}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
