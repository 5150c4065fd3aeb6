// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockMemory keeps the process in memory. The code that runs at a takeover is the
// code that has not run for months: a host that reclaims what lies idle would read
// it from disk again at that very moment. It needs CAP_IPC_LOCK or a sufficient
// RLIMIT_MEMLOCK.
func LockMemory() error {
	// On fault, so that the address space that the Go runtime reserves stays
	// a reservation (Linux 4.4).
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return populateProgram()
}

// populateProgram reads the whole program into memory (Linux 5.14).
func populateProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("list mappings: %w", err)
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if !strings.HasSuffix(lines.Text(), " "+program) {
			continue
		}
		start, length, err := mapping(lines.Text())
		if err != nil {
			return fmt.Errorf("understand mapping %q: %w", lines.Text(), err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, length, unix.MADV_POPULATE_READ); errno != 0 {
			return fmt.Errorf("read the program into memory: %w", errno)
		}
	}
	return lines.Err()
}

// mapping reads the range at the beginning of a line of /proc/PID/maps, proc_pid_maps(5).
func mapping(line string) (start, length uintptr, err error) {
	span, _, _ := strings.Cut(line, " ")
	from, to, _ := strings.Cut(span, "-")
	first, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return 0, 0, err
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil {
		return 0, 0, err
	}
	return uintptr(first), uintptr(end - first), nil
}
