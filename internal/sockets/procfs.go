// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// procfs is where the processes are, /proc.
type procfs string

// stat is what is needed of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	parent int    // field 4
	start  uint64 // field 22, clock ticks since boot
}

func (p procfs) stat(pid int) (stat, error) {
	text, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	st, ok := parseStat(text)
	if !ok {
		return stat{}, fmt.Errorf("%s has another form than known", p.path(pid, "stat"))
	}
	return st, nil
}

func (p procfs) path(pid int, name string) string {
	return filepath.Join(string(p), strconv.Itoa(pid), name)
}

// parseStat starts behind the last parenthesis: the command name in field 2 may
// hold blanks and parentheses.
func parseStat(text []byte) (stat, bool) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const first = 3 // the field that fields[0] is
	if len(fields) <= 22-first {
		return stat{}, false
	}
	parent, err := strconv.Atoi(string(fields[4-first]))
	if err != nil {
		return stat{}, false
	}
	start, err := strconv.ParseUint(string(fields[22-first]), 10, 64)
	return stat{parent: parent, start: start}, err == nil
}

// descendants returns the living processes that are among the roots or have one as
// an ancestor. It looks at every process, which needs nothing of the kernel but
// /proc itself; a process whose parent has gone belongs to nobody here.
func (p procfs) descendants(roots map[int]uint64) ([]int, error) {
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := make(map[int][]int)
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		st, err := p.stat(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		if start, ok := roots[pid]; ok && start == st.start {
			found = append(found, pid)
			continue // found as such, not once more as a child
		}
		children[st.parent] = append(children[st.parent], pid)
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// sockets calls each with the inodes of the sockets that the processes have open,
// until it returns false. Processes that end meanwhile are passed over.
func (p procfs) sockets(pids []int, each func(inode uint64) bool) error {
	for _, pid := range pids {
		more, err := p.socketsOf(pid, each)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
			continue
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("%w: process %d: run hafast as root, or give it CAP_SYS_PTRACE, or write services: by hand", ErrNoAccess, pid)
		case err != nil:
			return fmt.Errorf("read descriptors of process %d: %w", pid, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

func (p procfs) socketsOf(pid int, each func(inode uint64) bool) (more bool, err error) {
	dir, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return true, err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return true, err
	}
	// Listeners are opened first and have low numbers; connections come behind.
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	buf := make([]byte, 64)
	for _, name := range names {
		n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			return true, err
		}
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := parseSocketLink(buf[:n]); ok && !each(inode) {
			return false, nil
		}
	}
	return true, nil
}

// parseSocketLink reads the inode in "socket:[4711]".
func parseSocketLink(text []byte) (uint64, bool) {
	digits, ok := bytes.CutPrefix(text, []byte("socket:["))
	if !ok {
		return 0, false
	}
	digits, ok = bytes.CutSuffix(digits, []byte("]"))
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(string(digits), 10, 64)
	return inode, err == nil
}
