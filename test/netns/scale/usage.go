// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture Go runs on.
const tick = 10 * time.Millisecond

// errNoProcess is returned where a daemon's process was expected.
var errNoProcess = errors.New("no such process")

// process is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type process struct {
	pid, parent int
	// own is utime+stime; children is cutime+cstime, what those cost that have
	// ended and been waited for, with theirs.
	own, children time.Duration
}

// usage is what a daemon with all its processes has used so far.
type usage struct {
	// processes are those that run, by pid, with their own CPU time.
	processes map[int]time.Duration
	// total is the CPU time of all, those that have ended included.
	total time.Duration
}

// memory is what a daemon's processes hold, in bytes.
type memory struct {
	// rss counts a page in every process that maps it, pss shares it out among all
	// processes of the machine that do.
	rss, pss uint64
}

// parseStat reads a line of /proc/PID/stat.
func parseStat(line string) (process, error) {
	// The name may hold spaces and brackets; the last bracket ends it.
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("no name in %q", line)
	}
	// From here on the fields count from the third, the state.
	fields := strings.Fields(line[end+1:])
	const parent, utime, stime, cutime, cstime = 4 - 3, 14 - 3, 15 - 3, 16 - 3, 17 - 3
	if len(fields) <= cstime {
		return process{}, fmt.Errorf("too few fields in %q", line)
	}
	var failure error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil && failure == nil {
			failure = fmt.Errorf("in %q: %w", line, err)
		}
		return n
	}
	p := process{
		pid:      number(strings.TrimSpace(line[:open])),
		parent:   number(fields[parent]),
		own:      time.Duration(number(fields[utime])+number(fields[stime])) * tick,
		children: time.Duration(number(fields[cutime])+number(fields[cstime])) * tick,
	}
	return p, failure
}

// usageOf adds up a process and its descendants.
func usageOf(root int, all []process) (usage, error) {
	u := usage{processes: make(map[int]time.Duration)}
	for _, p := range all {
		if p.pid == root {
			u.add(p, all)
			return u, nil
		}
	}
	return u, fmt.Errorf("pid %d: %w", root, errNoProcess)
}

func (u *usage) add(p process, all []process) {
	u.processes[p.pid] = p.own
	u.total += p.own + p.children
	for _, child := range all {
		if child.parent == p.pid {
			u.add(child, all)
		}
	}
}

// since splits what was used after an earlier reading: by processes that ran all
// the time, and by those that came or went, such as scripts.
func (u usage) since(before usage) (daemon, scripts time.Duration) {
	for pid, own := range u.processes {
		if earlier, ok := before.processes[pid]; ok {
			daemon += own - earlier
		}
	}
	return daemon, max(0, u.total-before.total-daemon)
}

// readUsage reads the usage of the daemon under root.
func readUsage(root int) (usage, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
	}
	var all []process
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			// It ended after it was listed.
			continue
		}
		p, err := parseStat(string(b))
		if err != nil {
			return usage{}, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, p)
	}
	return usageOf(root, all)
}

// readMemory adds up the memory of the processes.
func (u usage) readMemory() (memory, error) {
	var sum memory
	for pid := range u.processes {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return sum, err
		}
		m, err := parseRollup(f)
		_ = f.Close()
		if err != nil {
			return sum, fmt.Errorf("memory of pid %d: %w", pid, err)
		}
		sum.rss += m.rss
		sum.pss += m.pss
	}
	return sum, nil
}

// parseRollup reads /proc/PID/smaps_rollup.
func parseRollup(r io.Reader) (memory, error) {
	var m memory
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return m, err
		}
		switch fields[0] {
		case "Rss:":
			m.rss = kib << 10
		case "Pss:":
			m.pss = kib << 10
		}
	}
	return m, lines.Err()
}
