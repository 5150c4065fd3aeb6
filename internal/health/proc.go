// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a process is looked at on kernels without pidfds.
const pollInterval = 10 * time.Millisecond

// proc is a hold on one process, which is never mistaken for a later one with
// the same pid.
//
// The hold is a pidfd (Linux 5.3): it becomes readable when the process ends,
// and the Go netpoller waits for that like for any socket. Where pidfd_open(2)
// is missing, or a seccomp filter refuses it, /proc/PID/stat is read every 10 ms
// instead and the start time tells processes apart.
type proc struct {
	pid   int
	start uint64
	fd    *os.File // nil without pidfds
	stop  chan struct{}
	// threads are held to learn of an untimely end early; see watchThreads.
	threads []*os.File
}

// openProc takes hold of a living process; errNoProcess if there is none.
func openProc(pid int) (*proc, error) {
	if pid <= 0 {
		return nil, errNoProcess
	}
	p := &proc{pid: pid, stop: make(chan struct{})}
	var err error
	if p.fd, err = pidfdOpen(pid); err != nil {
		return nil, err
	}
	// Read after the pidfd was opened: if the process behind the pidfd is
	// alive after this, then it was its own stat that was read.
	st, err := readStat(pid)
	if err != nil || st.zombie() || st.failing() {
		p.close()
		return nil, errNoProcess
	}
	p.start = st.start
	if !p.alive() {
		p.close()
		return nil, errNoProcess
	}
	return p, nil
}

// pidfdOpen returns nil without an error where the kernel has no pidfds.
func pidfdOpen(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.EINVAL) { // the flag came with Linux 5.10
		if fd, err = unix.PidfdOpen(pid, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	switch {
	case err == nil:
		// os.NewFile registers a non-blocking descriptor with the netpoller.
		return os.NewFile(uintptr(fd), fmt.Sprintf("pidfd of %d", pid)), nil
	case errors.Is(err, unix.ESRCH):
		return nil, errNoProcess
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return nil, nil
	}
	return nil, fmt.Errorf("pidfd of process %d: %w", pid, err)
}

// alive looks without waiting.
func (p *proc) alive() bool {
	if p.fd == nil {
		st, err := readStat(p.pid)
		return err == nil && !st.zombie() && st.start == p.start
	}
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return false
	}
	ended := true
	if err := conn.Control(func(fd uintptr) { ended = readable(fd) }); err != nil {
		return false
	}
	return !ended
}

// wait returns true when the process has ended, false when the hold was closed.
func (p *proc) wait() bool {
	if p.fd == nil {
		return p.waitPolling()
	}
	return waitReadable(p.fd)
}

func (p *proc) waitPolling() bool {
	t := time.NewTicker(pollInterval)
	defer t.Stop()
	for p.alive() {
		select {
		case <-t.C:
		case <-p.stop:
			return false
		}
	}
	return true
}

// readable has the signature that RawConn.Read wants. A pidfd cannot be read,
// only polled.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n == 1
	}
}

func (p *proc) close() {
	close(p.stop)
	if p.fd != nil {
		_ = p.fd.Close()
	}
	for _, thread := range p.threads {
		_ = thread.Close()
	}
}

// exit is how a process ended.
type exit struct {
	known  bool
	status syscall.WaitStatus
}

// clean reports whether the process may have ended because it was asked to. An
// unknown status may be anything.
func (e exit) clean() bool { return !e.known || e.status.Exited() && e.status.ExitStatus() == 0 }

func (e exit) String() string {
	switch {
	case !e.known:
		return "exited, status unknown to this kernel"
	case e.status.Signaled() && e.status.CoreDump():
		return fmt.Sprintf("killed by signal %d, core dumped", int(e.status.Signal()))
	case e.status.Signaled():
		return fmt.Sprintf("killed by signal %d", int(e.status.Signal()))
	}
	return fmt.Sprintf("exited with status %d", e.status.ExitStatus())
}

// exit asks how an ended process ended. It is nobody's child here, so wait(2)
// is out of the question. Until its parent reaps it, the status stands in
// /proc/PID/stat; from then on the pidfd has it, since Linux 6.15. The order
// matters: the other way round, a reaping in between would lose the status.
func (p *proc) exit() exit {
	if st, err := readStat(p.pid); err == nil && st.start == p.start && st.zombie() {
		return exit{known: true, status: st.status()}
	}
	if p.fd == nil {
		return exit{}
	}
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return exit{}
	}
	var e exit
	_ = conn.Control(func(fd uintptr) {
		// struct pidfd_info (linux/pidfd.h) is extensible: mask says what is
		// asked for, and after the call what was filled in.
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		if err := unix.IoctlPidfdInfo(int(fd), &info); err != nil {
			return
		}
		if info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			e = exit{known: true, status: syscall.WaitStatus(info.Exit_code)}
		}
	})
	return e
}

// ended is the news that a process has ended.
type ended struct {
	p    *proc
	exit exit
	at   time.Time
}

// procWatch holds processes and tells of their ends on one channel. It belongs
// to one goroutine; close ends it.
type procWatch struct {
	ends chan ended
	stop chan struct{}
	wg   sync.WaitGroup
	held map[*proc]struct{}
}

func newProcWatch() *procWatch {
	return &procWatch{
		ends: make(chan ended),
		stop: make(chan struct{}),
		held: make(map[*proc]struct{}),
	}
}

// open takes hold of a process. Its end is delivered on w.ends; whoever has heard
// of it releases the process, and hears no more.
func (w *procWatch) open(pid int) (*proc, error) {
	p, err := openProc(pid)
	if err != nil {
		return nil, err
	}
	w.held[p] = struct{}{}
	w.wg.Go(func() {
		if !p.wait() {
			return
		}
		w.deliver(ended{p: p, at: time.Now(), exit: p.exit()})
	})
	w.watchThreads(p)
	return p, nil
}

func (w *procWatch) deliver(e ended) {
	select {
	case w.ends <- e:
	case <-e.p.stop:
	case <-w.stop:
	}
}

// release lets go of a process; nothing more is heard of it.
func (w *procWatch) release(p *proc) {
	if _, ok := w.held[p]; ok {
		delete(w.held, p)
		p.close()
	}
}

func (w *procWatch) close() {
	for p := range w.held {
		w.release(p)
	}
	close(w.stop)
	w.wg.Wait()
}
