// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// goneProcess returns the pid of a process that has ended and been waited for:
// nobody has it now.
func goneProcess(t *testing.T) int {
	t.Helper()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	return gone.Process.Pid
}

func TestLimitHAProxy(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	err := a.LimitHAProxy(0.2)
	if errors.Is(err, ErrNoCPUController) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := a.StartHAProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := a.cgroup
	if pid := strconv.Itoa(a.HAProxy().PID()); !hasWord(filepath.Join(dir, "cgroup.procs"), pid) {
		t.Error("haproxy is not in its control group")
	}
	// Whatever else is in the group shares the quota: a loop uses it up.
	spinner, err := a.Start("spinner", "sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.confine(spinner); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWithin(t, 10*time.Second)
	defer cancel()
	if err := Eventually(ctx, "the loop to be throttled", func() bool {
		seen, err := a.Throttling()
		return err == nil && seen.Throttled > 0 && seen.Periods >= seen.Throttled
	}); err != nil {
		t.Error(err)
	}
	if used, err := spinner.CPU(); err != nil || used < 0 {
		t.Errorf("the loop used %v, %v", used, err)
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the control group is still there")
	}
	if err := a.StartHAProxy(t.Context()); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestParseProcStat(t *testing.T) {
	const line = "123 (a (b) c) S 1 77 123 0 -1 4194560 0 0 0 0 150 25 3 4 20 0 1 0 100 0 0\n"
	group, used, err := parseProcStat(line)
	if err != nil || group != 77 || used != 1750*time.Millisecond {
		t.Errorf("got %d, %v, %v", group, used, err)
	}
	for _, bad := range []string{"", "123 (x) S 1", "1 (x) S 1 y 1 0 -1 0 0 0 0 0 1 2 3 4"} {
		if _, _, err := parseProcStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReapRemovesGroupsOfTheDeadOnly(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	if err := a.LimitHAProxy(0.5); errors.Is(err, ErrNoCPUController) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(filepath.Dir(a.cgroup), namePrefix+strconv.Itoa(goneProcess(t))+"-1-x")
	if err := os.Mkdir(dead, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Reap(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("the group of a dead lab is still there")
	}
	if _, err := os.Stat(a.cgroup); err != nil {
		t.Error("the group of a living lab is gone")
	}
}
