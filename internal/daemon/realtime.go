package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// realtimePriority is above ordinary real-time work and below the kernel's own
// interrupt threads, which run at 50.
const realtimePriority = 40

// goRealtime runs all threads of the process under SCHED_FIFO, so that a busy
// host neither delays adverts nor the verdict on a silent peer. Threads made
// later inherit it from those that make them; children would too, and are
// started by package spawn for that reason.
func goRealtime() error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority}
	return eachThread(func(tid int) error { return unix.SchedSetAttr(tid, &attr, 0) })
}

// eachThread applies f to every thread, again until no new one has appeared.
func eachThread(f func(tid int) error) error {
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
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("thread %d: %w", tid, err)
			}
			done[tid] = true
		}
		if len(done) == before {
			return nil
		}
	}
}
