package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// realtimePriority is the lowest there is: above all ordinary work, below
	// whatever else somebody found worth a real-time priority.
	realtimePriority = 1
	// busyShare of a processor, busySeconds long, is more than the daemon ever has
	// reason to use: a thousand IPv6 addresses take the kernel about a second.
	busyShare   = 0.9
	busySeconds = 3
)

// goRealtime runs all threads of the process under real-time scheduling, so that
// a busy host neither delays adverts nor the verdict on a silent peer. Threads
// made later inherit it from those that make them; children would too, and are
// started by package spawn for that reason.
//
// The policy is SCHED_RR: under SCHED_FIFO a thread that is kept busy would keep
// its equals, the Go runtime's own threads among them, from running at all.
func goRealtime() error {
	return schedule(unix.SchedAttr{Policy: unix.SCHED_RR, Priority: realtimePriority})
}

// guardRealtime gives real-time scheduling up when the process uses a whole
// processor for seconds: real-time threads can starve a host, and even its kernel,
// so that a defect of ours must not stay real-time. RLIMIT_RTTIME would not notice:
// the Go runtime moves a busy goroutine from thread to thread.
func guardRealtime(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	used, busy := processorTime(), 0
	for busy < busySeconds {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := processorTime()
		if now-used < time.Duration(busyShare*float64(time.Second)) {
			busy = 0
		} else {
			busy++
		}
		used = now
	}
	err := schedule(unix.SchedAttr{Policy: unix.SCHED_NORMAL})
	log.Error("real-time scheduling is given up, the daemon uses a whole processor: please report this as a defect", "error", err)
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// schedule changes every thread, again until no new one has appeared.
func schedule(attr unix.SchedAttr) error {
	attr.Size = unix.SizeofSchedAttr
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
