// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// errNoProcess means that the pid belongs to no process, or to a zombie.
var errNoProcess = errors.New("no such process")

// stat is what is needed of /proc/PID/stat, proc_pid_stat(5).
type stat struct {
	state    byte
	start    uint64 // field 22, clock ticks since boot
	exitCode int    // field 52, as wait(2) gives it; 0 where it may not be seen
}

func (s stat) zombie() bool { return s.state == 'Z' || s.state == 'X' }

func (s stat) status() syscall.WaitStatus { return syscall.WaitStatus(s.exitCode) }

// failing tells that the process is on its way out, and not because it was done:
// the kernel notes the reason before the first thread goes.
func (s stat) failing() bool {
	status := s.status()
	return status.Signaled() || status.Exited() && status.ExitStatus() != 0
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat starts behind the last parenthesis: the command name in field 2 may
// hold blanks and parentheses.
func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, fmt.Errorf("parse /proc/PID/stat: no command name")
	}
	const first = 3 // the field that fields[0] is
	fields := strings.Fields(string(b[i+1:]))
	if len(fields) <= 22-first {
		return stat{}, fmt.Errorf("parse /proc/PID/stat: %d fields", len(fields)+first-1)
	}
	var s stat
	var err error
	s.state = fields[0][0]
	if s.start, err = strconv.ParseUint(fields[22-first], 10, 64); err != nil {
		return stat{}, fmt.Errorf("parse /proc/PID/stat: start time: %w", err)
	}
	if len(fields) > 52-first {
		if s.exitCode, err = strconv.Atoi(fields[52-first]); err != nil {
			return stat{}, fmt.Errorf("parse /proc/PID/stat: exit code: %w", err)
		}
	}
	return s, nil
}

// readComm is the command name, at most 15 bytes.
func readComm(pid int) (string, error) {
	b, err := os.ReadFile(procPath(pid, "comm"))
	return strings.TrimSuffix(string(b), "\n"), err
}

// readArgs is the command line; empty for a zombie.
func readArgs(pid int) []string {
	b, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// readChildren lists the processes forked by pid's main thread. It needs
// CONFIG_PROC_CHILDREN, without which there are none to be seen.
func readChildren(pid int) []int {
	b, err := os.ReadFile(procPath(pid, "task/"+strconv.Itoa(pid)+"/children"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// listPids is every process of this pid namespace.
func listPids() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
