// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// load opens fresh connections at a steady pace.
type load struct {
	target   netip.AddrPort
	interval time.Duration
	request  []byte

	mu       sync.Mutex
	attempts []Attempt
	failed   int
	// lastFailed and firstOK are the start times that an unbroken run of successes
	// is told by: firstOK is the earliest success known to be later than lastFailed.
	lastFailed, firstOK int64

	quit chan struct{}
	done chan struct{}
}

func newLoad(target netip.AddrPort, interval time.Duration) *load {
	return &load{
		target:   target,
		interval: interval,
		request:  fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// run starts an attempt every interval until stop or the end of ctx, and waits
// for those under way. It keeps its pace by the clock on a thread of its own: the runtime's
// timers are late by most of a millisecond. When the thread was held up, the
// missed attempts are left out and not made up for in a burst.
func (l *load) run(ctx context.Context) {
	defer close(l.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	next := monotonic()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.quit:
			return
		default:
		}
		wg.Go(func() { l.attempt(ctx) })
		for now := monotonic(); next <= now; {
			next += int64(l.interval)
		}
		until := unix.NsecToTimespec(next)
		// Woken early by a signal, it starts the next attempt early.
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil)
	}
}

// stop ends the load and returns all attempts in order of their ends.
func (l *load) stop() []Attempt {
	close(l.quit)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attempts)
}

func (l *load) attempt(ctx context.Context) {
	start := monotonic()
	outcome := l.fetch(ctx)
	took := time.Duration(monotonic() - start)
	if took > AttemptTimeout {
		outcome = TimedOut
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, Attempt{Start: start, Took: took, Outcome: outcome})
	switch {
	case outcome != OK:
		l.failed++
		l.lastFailed = max(l.lastFailed, start)
		if l.firstOK <= l.lastFailed {
			l.firstOK = 0
		}
	case start > l.lastFailed && (l.firstOK == 0 || start < l.firstOK):
		l.firstOK = start
	}
}

// fetch gets the page over a fresh connection.
func (l *load) fetch(ctx context.Context) Outcome {
	deadline := time.Now().Add(AttemptTimeout)
	conn, err := (&net.Dialer{Deadline: deadline, KeepAlive: -1}).DialContext(ctx, "tcp", l.target.String())
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	// The reset instead of a FIN leaves neither side in TIME_WAIT.
	_ = conn.(*net.TCPConn).SetLinger(0)
	if err := conn.SetDeadline(deadline); err != nil {
		return classify(err)
	}
	if _, err := conn.Write(l.request); err != nil {
		return classify(err)
	}
	answer, err := io.ReadAll(conn)
	switch {
	case err != nil:
		return classify(err)
	case !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(answer, []byte(lab.PageText)):
		return Broken
	default:
		return OK
	}
}

func (l *load) progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Progress{Attempts: len(l.attempts), Failed: l.failed, OKSince: l.firstOK}
}

// classify turns an error of a connection into an outcome.
func classify(err error) Outcome {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	default:
		return Broken
	}
}
