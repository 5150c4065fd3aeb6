// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by Start after Close.
var ErrClosed = errors.New("spawner is closed")

// Spawner forks children from one thread with ordinary scheduling. Its methods
// may be called from any goroutine.
type Spawner struct {
	requests chan request
	closing  chan struct{}
	closed   chan struct{}
	once     sync.Once
}

type request struct {
	cmd    *exec.Cmd
	result chan error
}

// New starts the spawner's thread. Close ends it.
func New() *Spawner {
	s := &Spawner{
		requests: make(chan request),
		closing:  make(chan struct{}),
		closed:   make(chan struct{}),
	}
	go s.loop()
	return s
}

// Close ends the spawner's thread. Children that asked to die with their parent
// are killed by the kernel at that moment, so Close is for the end of the
// process.
func (s *Spawner) Close() {
	s.once.Do(func() { close(s.closing) })
	<-s.closed
}

// loop never unlocks its thread: a goroutine that returns while locked takes
// the thread with it, so no other goroutine ever runs on a thread whose
// scheduling was changed here.
func (s *Spawner) loop() {
	runtime.LockOSThread()
	defer close(s.closed)
	for {
		select {
		case <-s.closing:
			return
		case r := <-s.requests:
			r.result <- s.fork(r.cmd)
		}
	}
}

// ordinarySlack is how late the timers of a process may be in nanoseconds, if nobody has
// asked for anything else (PR_SET_TIMERSLACK in prctl(2)).
const ordinarySlack = 50_000

func (s *Spawner) fork(cmd *exec.Cmd) error {
	// Before each fork, not once: the daemon may have raised all threads since.
	// Giving way to others needs no privilege.
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("return to ordinary scheduling: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, ordinarySlack, 0, 0, 0); err != nil {
		return fmt.Errorf("return to ordinary timers: %w", err)
	}
	return cmd.Start()
}

// start runs cmd.Start on the spawner's thread.
func (s *Spawner) start(cmd *exec.Cmd) error {
	r := request{cmd: cmd, result: make(chan error, 1)}
	select {
	case s.requests <- r:
		return <-r.result
	case <-s.closing:
		return ErrClosed
	}
}
