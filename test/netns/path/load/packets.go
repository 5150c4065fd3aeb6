// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// payload makes the smallest frames that Ethernet carries: 14 bytes of its header,
	// 20 of IPv4's, 8 of UDP's, and 4 of the checksum that a card would add.
	payload = 64 - 14 - 20 - 8 - 4
	// batch is how many datagrams one system call sends (sendmmsg(2)).
	batch = 64
)

// sendPackets sends datagrams from the sockets in turn until the end of ctx.
func (s Spec) sendPackets(ctx context.Context, c *counter) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sockets := make([]*ipv4.PacketConn, s.Parallel)
	for i := range sockets {
		conn, err := net.Dial("udp4", s.Target.String())
		if err != nil {
			return fmt.Errorf("open a socket: %w", err)
		}
		defer conn.Close()
		sockets[i] = ipv4.NewPacketConn(conn.(*net.UDPConn))
	}
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, payload)}
	}
	wait := s.pacer()
	for i := 0; ctx.Err() == nil; i++ {
		wait()
		n, err := sockets[i%len(sockets)].WriteBatch(messages, 0)
		c.ok.Add(uint64(max(n, 0)))
		switch {
		case err == nil:
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOBUFS):
			// Somebody has refused an earlier one, or a queue on the way is full.
			c.failed.Add(1)
		default:
			return err
		}
	}
	return nil
}

// pacer returns a function that waits until the next batch is due, by the clock and
// not by the runtime's timers, which are late by most of a millisecond. Batches that
// are late are left out and not made up for in a burst.
func (s Spec) pacer() (wait func()) {
	if s.Kind != PacedPackets {
		return func() {}
	}
	interval := int64(batch) * int64(time.Second) / int64(s.Pace)
	next := monotonic()
	return func() {
		now := monotonic()
		for next += interval; next < now; next += interval {
		}
		until := unix.NsecToTimespec(next)
		// Woken early by a signal, it sends the next batch early.
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil)
	}
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	// It cannot fail with this clock and a valid pointer.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
