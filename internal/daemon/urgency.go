package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// slice is how long a thread asks to run at a time. Short slices go first when
// they wake up (Linux 6.12; earlier kernels take no notice).
const slice = 100 * time.Microsecond

// renice gives all threads of the process a nice value, so that a busy host
// delays neither adverts nor the verdict on a silent peer. Threads made later
// inherit it from those that make them; children would too, and are started by
// package spawn for that reason.
//
// It does not ask for real-time scheduling. The Go runtime has loops in which one
// thread waits for another by keeping busy, and threads of one real-time priority
// do not make room for each other: under SCHED_FIFO two daemons froze a machine
// of two processors, under SCHED_RR an advert came 100 ms late, which is that
// policy's time slice.
func renice(nice int) error {
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(nice), Runtime: uint64(slice.Nanoseconds()),
	}
	done := make(map[int]bool)
	for { // until no new thread has appeared
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
			err = unix.SchedSetAttr(tid, &attr, 0)
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
