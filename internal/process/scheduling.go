// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slice is how long a thread asks to run at a time. Short slices go first when
	// they wake up (Linux 6.12; earlier kernels take no notice).
	slice = 100 * time.Microsecond

	// slack is how late the kernel may be with a thread's timers, so that one wake-up
	// serves several. The Go runtime's monitor looks every 20 us for threads that stay
	// in system calls, and does not slow down as long as one keeps doing so, as the
	// prober's does: on time, that is a third of what an idle daemon uses. Go's own
	// timers are rounded to milliseconds as it is; what must be on time has a timerfd
	// (package clock) or a thread without slack (package bfd).
	slack = time.Millisecond
)

// Renice gives all threads of the process a nice value, so that a busy host
// delays neither adverts nor the verdict on a silent peer. Threads made later
// inherit it from those that make them; children would too, and are started by
// package spawn for that reason.
//
// It does not ask for real-time scheduling. The Go runtime has loops in which one
// thread waits for another by keeping busy, and threads of one real-time priority
// do not make room for each other: under SCHED_FIFO two daemons froze a machine
// of two processors, under SCHED_RR an advert came 100 ms late, which is that
// policy's time slice.
func Renice(nice int) error {
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(nice), Runtime: uint64(slice.Nanoseconds()),
	}
	return eachThread(func(tid int) error { return unix.SchedSetAttr(tid, &attr, 0) })
}

// RelaxTimers gives all threads of the process their slack, and those that they make.
func RelaxTimers() error {
	value := strconv.AppendInt(nil, slack.Nanoseconds(), 10)
	return eachThread(func(tid int) error { return os.WriteFile(slackFile(tid), value, 0) })
}

// slackFile is where a thread's timer slack is, in nanoseconds (Linux 4.6).
func slackFile(tid int) string { return fmt.Sprintf("/proc/%d/timerslack_ns", tid) }

// eachThread calls a function for each thread of the process, until no new one has
// appeared. A thread that has ended is no error.
func eachThread(do func(tid int) error) error {
	done := make(map[int]bool)
	for {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		before := len(done)
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || done[tid] {
				continue
			}
			err = do(tid)
			if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("thread %d: %w", tid, err)
			}
			done[tid] = true
		}
		if len(done) == before {
			return nil
		}
	}
}
