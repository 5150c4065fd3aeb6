// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

const (
	// beat is how often a paced generator sends some frames.
	beat = 500 * time.Microsecond
	// arrears is how much it makes up for, when somebody else has had the processor: more
	// would be a burst that nobody has asked for.
	arrears = 10 * time.Millisecond
)

// generator begins flows, each with one frame. Its socket is in the client host for good.
type generator struct {
	fd    int
	mould *mould
	// first is the number of its first client, begun how many flows it has sent.
	first uint32
	begun atomic.Uint64
}

// newGenerator makes one for flows of a protocol from a host to a VIP that another host
// has, and of clients from a number on.
func newGenerator(from, to *lab.Host, proto uint8, vip netip.AddrPort, first uint32) (*generator, error) {
	g := &generator{fd: -1, mould: newMould(proto, vip, to.MAC, from.MAC), first: first}
	err := from.Do(func() error {
		ifi, err := net.InterfaceByName(lab.Interface)
		if err != nil {
			return err
		}
		// No protocol: it receives nothing.
		if g.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(g.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	if err != nil {
		g.close()
		return nil, fmt.Errorf("generator on %s: %w", from.Name, err)
	}
	return g, nil
}

func (g *generator) close() {
	if g.fd >= 0 {
		_ = unix.Close(g.fd)
	}
}

// send begins one more flow, and returns whose it is. A frame that finds a queue on its
// way full is no flow.
func (g *generator) send() (client, error) {
	c := clientNo(g.first + uint32(g.begun.Load()))
	for {
		_, err := unix.Write(g.fd, g.mould.cast(c))
		switch {
		case err == nil:
			g.begun.Add(1)
			return c, nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
		default:
			return c, fmt.Errorf("begin a flow: %w", err)
		}
	}
}

// flood begins n flows as quickly as it can.
func (g *generator) flood(ctx context.Context, n int) error {
	for i := range n {
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := g.send(); err != nil {
			return err
		}
	}
	return nil
}

// run begins flows at a pace until ctx is done.
func (g *generator) run(ctx context.Context, perSecond int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	owed, last := 0.0, monotonic()
	for ctx.Err() == nil {
		sleepUntil(last + int64(beat))
		now := monotonic()
		owed += float64(perSecond) * min(time.Duration(now-last), arrears).Seconds()
		for last = now; owed >= 1; owed-- {
			if _, err := g.send(); err != nil {
				return err
			}
		}
	}
	return nil
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	// It cannot fail with this clock and a valid pointer.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// sleepUntil sleeps by the clock: the runtime's timers are late by most of a millisecond.
// A signal may end it early.
func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
}
