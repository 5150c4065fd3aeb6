// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// LoadSpec is a load of short connections: each is opened, says a little, hears it
// back and is closed by the client.
type LoadSpec struct {
	Target Target
	// Workers open a connection each as soon as their last one has ended.
	Workers int
	// Pace, if set, is how many connections are begun per second instead, whatever
	// becomes of them, but not more than Workers at a time.
	Pace int
}

// Count is what has been seen so far.
type Count struct {
	// OK is of connections that were answered, Failed of all others, those included
	// that were not begun because too many were under way.
	OK, Failed uint64
	// At is CLOCK_MONOTONIC, in nanoseconds.
	At int64
}

// Load is a load that goes on until Close.
type Load struct{ child *child }

// StartLoad starts it on the host.
func StartLoad(ctx context.Context, host *lab.Host, spec LoadSpec) (*Load, error) {
	c, err := start(ctx, host, job{Load: &spec})
	if err != nil {
		return nil, err
	}
	return &Load{child: c}, nil
}

// Count asks what has been seen so far.
func (l *Load) Count(ctx context.Context) (c Count, err error) {
	err = l.child.ask(ctx, cmdCount, &c)
	return c, err
}

// Close ends it.
func (l *Load) Close() { l.child.close() }

const cmdCount = "count"

const (
	// patience is how long a connection may take altogether.
	patience = 2 * time.Second
	// pauseAfterFailure keeps a worker from spinning where nobody serves it.
	pauseAfterFailure = 5 * time.Millisecond
)

// load is the child.
type load struct {
	spec       LoadSpec
	ok, failed atomic.Uint64
	next       atomic.Uint64
}

func newLoad(spec LoadSpec) *load { return &load{spec: spec} }

func (l *load) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if l.spec.Pace > 0 {
		l.runPaced(ctx, &wg)
		return nil
	}
	for range l.spec.Workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if !l.connect(ctx) {
					time.Sleep(pauseAfterFailure)
				}
			}
		})
	}
	<-ctx.Done()
	return nil
}

// runPaced keeps its pace by the clock on a thread of its own: the runtime's timers are
// late by most of a millisecond. When the thread was held up, it makes up for what it
// missed, so that all systems are given the same work.
func (l *load) runPaced(ctx context.Context, wg *sync.WaitGroup) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	free := make(chan struct{}, l.spec.Workers)
	interval := int64(time.Second) / int64(l.spec.Pace)
	for next := monotonic(); ctx.Err() == nil; next += interval {
		until := unix.NsecToTimespec(next)
		// Woken early by a signal, it starts the next connection early.
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil)
		select {
		case free <- struct{}{}:
			wg.Go(func() {
				l.connect(ctx)
				<-free
			})
		default:
			l.failed.Add(1)
		}
	}
}

// connect makes one connection and reports whether it was answered.
func (l *load) connect(ctx context.Context) bool {
	err := l.converse(ctx)
	switch {
	case err == nil:
		l.ok.Add(1)
	case ctx.Err() == nil:
		l.failed.Add(1)
	}
	return err == nil
}

func (l *load) converse(ctx context.Context) error {
	dialer := net.Dialer{Timeout: patience, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", l.spec.Target.Nth(l.next.Add(1)).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var buf [64]byte
	if _, err := conn.Write(buf[:]); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, buf[:])
	return err
}

func (l *load) answer(_ context.Context, command string) (any, error) {
	switch command {
	case cmdReady:
		return nil, nil
	case cmdCount:
		return Count{OK: l.ok.Load(), Failed: l.failed.Load(), At: monotonic()}, nil
	default:
		return nil, fmt.Errorf("%w %q", errUnknownCommand, command)
	}
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	// It cannot fail with this clock and a valid pointer.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
