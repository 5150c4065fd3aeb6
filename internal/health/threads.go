// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A process that is killed is over for its clients before it is over for its
// pidfd: the last of its threads to go closes its sockets one by one, which takes
// a haproxy with a few hundred connections several milliseconds, and only then
// is the process said to have ended. But its first thread goes at once. So two
// threads are held as well (Linux 6.9): whichever of them is not the last is
// early, and what the kernel says of the process by then tells a thread that
// ended alone from the end of all.

// watchThreads has an untimely end of p delivered as early as can be known. It
// may be called again: a process that has just started may not have its threads
// yet. Without threads, or on an older kernel, nothing is lost but time.
func (w *procWatch) watchThreads(p *proc) {
	if p.fd == nil || len(p.threads) > 0 {
		return
	}
	tids := readThreads(p.pid)
	if len(tids) < 2 {
		return
	}
	for _, tid := range tids[:2] {
		thread, err := threadPidfd(tid)
		if err != nil {
			return
		}
		p.threads = append(p.threads, thread)
		w.wg.Go(func() {
			if !waitReadable(thread) {
				return
			}
			st, err := readStat(p.pid)
			if err != nil || st.start != p.start || !st.failing() {
				return
			}
			w.deliver(ended{p: p, at: time.Now(), exit: exit{known: true, status: st.status()}})
		})
	}
}

// threadPidfd takes hold of one thread.
func threadPidfd(tid int) (*os.File, error) {
	const pidfdThread = unix.O_EXCL // PIDFD_THREAD of linux/pidfd.h
	fd, err := unix.PidfdOpen(tid, unix.PIDFD_NONBLOCK|pidfdThread)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("pidfd of thread %d", tid)), nil
}

// ThreadsError says why the ends of processes are noticed later than they could be; nil
// where they are not.
func ThreadsError() error {
	f, err := threadPidfd(os.Getpid()) // the main thread has the process's number
	if err != nil {
		return fmt.Errorf("pidfd of a thread (Linux 6.9): %w", err)
	}
	return f.Close()
}

// waitReadable returns false when the descriptor was closed.
func waitReadable(f *os.File) bool {
	conn, err := f.SyscallConn()
	return err == nil && conn.Read(readable) == nil
}

// readThreads lists the thread ids, the main thread's first.
func readThreads(pid int) []int {
	entries, err := os.ReadDir(procPath(pid, "task"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	slices.SortFunc(tids, func(a, b int) int {
		switch {
		case a == pid:
			return -1
		case b == pid:
			return 1
		}
		return a - b
	})
	return tids
}
