// SPDX-License-Identifier: Apache-2.0

// Package clock gives the daemon's loop a timer that is on time.
//
// A Go timer wakes the loop through epoll's timeout, which the runtime rounds up
// to whole milliseconds. A timerfd becomes readable at the nanosecond, and epoll
// reports it like any socket.
package clock

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Timer fires once for each Reset, unless another Reset or Close comes first.
type Timer struct {
	fd   *os.File
	c    chan struct{}
	done chan struct{}
}

// NewTimer returns a timer that is not set.
func NewTimer() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create timerfd: %w", err)
	}
	t := &Timer{fd: os.NewFile(uintptr(fd), "timerfd"), c: make(chan struct{}, 1), done: make(chan struct{})}
	go t.read()
	return t, nil
}

// C receives when the timer fires. A firing that crossed a Reset may still be
// there: look at the time before you act.
func (t *Timer) C() <-chan struct{} { return t.c }

// Reset sets the timer to fire at the given time, at once if that has passed.
func (t *Timer) Reset(at time.Time) error {
	// A value of zero would disarm the timer.
	wait := max(time.Until(at), time.Nanosecond)
	return t.set(unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))})
}

// Stop unsets the timer.
func (t *Timer) Stop() error { return t.set(unix.ItimerSpec{}) }

func (t *Timer) set(spec unix.ItimerSpec) error {
	rc, err := t.fd.SyscallConn()
	if err != nil {
		return fmt.Errorf("set timerfd: %w", err)
	}
	var opErr error
	if err := rc.Control(func(fd uintptr) { opErr = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); err != nil {
		return fmt.Errorf("set timerfd: %w", err)
	}
	if opErr != nil {
		return fmt.Errorf("set timerfd: %w", opErr)
	}
	return nil
}

// Close ends the timer; C never receives again.
func (t *Timer) Close() error {
	err := t.fd.Close()
	<-t.done
	return err
}

func (t *Timer) read() {
	defer close(t.done)
	var expirations [8]byte
	for {
		if _, err := t.fd.Read(expirations[:]); err != nil {
			return
		}
		select {
		case t.c <- struct{}{}:
		default: // one firing is waiting already
		}
	}
}
