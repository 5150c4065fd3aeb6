// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hafast/test/netns/lab"
)

// HeldSpec are connections that stay open. Each sends a few bytes again and again,
// whether or not the last ones have come back, and the server echoes them.
type HeldSpec struct {
	Target Target
	// Quick connections send every QuickInterval, all others every Interval.
	Quick, Others           int
	QuickInterval, Interval time.Duration
}

// Reading is what the held connections have seen since the last Reset.
type Reading struct {
	// Open is how many were opened, Gone how many have ended since, and Alive how many of
	// the others have echoed what was sent after the moment that the reading is about.
	Open, Gone, Alive int
	// Longest is the longest time that an echo took on any connection that is alive.
	// A byte that is lost comes back when TCP has sent it again, 200 ms later at
	// least if its connection has nothing else to say.
	Longest time.Duration
	// Quick are the longest times on each of the quick connections that are alive,
	// sorted. What follows a lost byte tells their TCP at once, so these are near
	// to how long nothing went through.
	Quick []time.Duration
}

// Held holds connections until Close.
type Held struct{ child *child }

// StartHeld opens them from the host and returns when all are open.
func StartHeld(ctx context.Context, host *lab.Host, spec HeldSpec) (*Held, error) {
	c, err := start(ctx, host, job{Held: &spec})
	if err != nil {
		return nil, err
	}
	return &Held{child: c}, nil
}

// Reset forgets the times of all echoes so far.
func (h *Held) Reset(ctx context.Context) error { return h.child.ask(ctx, cmdReset, nil) }

// Read returns what has been seen since Reset; alive is who has echoed what was sent
// after the moment.
func (h *Held) Read(ctx context.Context, moment time.Duration) (r Reading, err error) {
	err = h.child.ask(ctx, cmdRead+" "+strconv.FormatInt(int64(moment), 10), &r)
	return r, err
}

// Close ends them.
func (h *Held) Close() { h.child.close() }

// Now is the moment for [Held.Read]: CLOCK_MONOTONIC.
func Now() time.Duration { return time.Duration(monotonic()) }

const (
	cmdReset = "reset"
	cmdRead  = "read"
)

// openers is how many connections are being opened at a time.
const openers = 16

// held is the child.
type held struct {
	spec   HeldSpec
	opened chan struct{}
	// conns are not changed after opened is closed.
	conns []*heldConn
}

// heldConn is one connection. Its payloads are the times at which they are sent.
type heldConn struct {
	net.Conn
	quick bool
	// gone says that it has ended.
	gone atomic.Bool
	// lastEcho is when the last echoed payload was sent, longest the longest time that an
	// echo took since Reset.
	lastEcho, longest atomic.Int64
}

func newHeld(spec HeldSpec) *held { return &held{spec: spec, opened: make(chan struct{})} }

func (h *held) run(ctx context.Context) error {
	if err := h.open(ctx); err != nil {
		return err
	}
	for n, c := range h.conns {
		interval := h.spec.Interval
		if c.quick {
			interval = h.spec.QuickInterval
		}
		go c.listen()
		// They send at different times.
		go c.talk(interval, interval*time.Duration(n)/time.Duration(len(h.conns)))
	}
	close(h.opened)
	<-ctx.Done()
	for _, c := range h.conns {
		_ = c.Close()
	}
	return nil
}

// open opens all connections, a few at a time.
func (h *held) open(ctx context.Context) error {
	h.conns = make([]*heldConn, h.spec.Quick+h.spec.Others)
	var (
		wg      sync.WaitGroup
		next    atomic.Int64
		failure atomic.Pointer[error]
	)
	for range openers {
		wg.Go(func() {
			dialer := net.Dialer{Timeout: patience, KeepAlive: -1}
			for n := int(next.Add(1)) - 1; n < len(h.conns) && failure.Load() == nil; n = int(next.Add(1)) - 1 {
				conn, err := dialer.DialContext(ctx, "tcp", h.spec.Target.Nth(uint64(n)).String())
				if err != nil {
					failure.Store(&err)
					return
				}
				h.conns[n] = &heldConn{Conn: conn, quick: n < h.spec.Quick}
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return fmt.Errorf("open held connections: %w", *err)
	}
	return nil
}

// talk sends until the connection or the process ends.
func (c *heldConn) talk(interval, first time.Duration) {
	time.Sleep(first)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ; ; <-tick.C {
		if _, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(monotonic()))); err != nil {
			c.gone.Store(true)
			return
		}
	}
}

// listen takes the echoes until the connection or the process ends.
func (c *heldConn) listen() {
	var buf [8]byte
	for {
		if _, err := io.ReadFull(c, buf[:]); err != nil {
			c.gone.Store(true)
			return
		}
		sent := int64(binary.BigEndian.Uint64(buf[:]))
		c.lastEcho.Store(sent)
		// Reset is the only other writer, and may lose against an echo of its moment.
		if took := monotonic() - sent; took > c.longest.Load() {
			c.longest.Store(took)
		}
	}
}

func (h *held) answer(ctx context.Context, command string) (any, error) {
	switch name, argument, _ := strings.Cut(command, " "); name {
	case cmdReady:
		select {
		case <-h.opened:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case cmdReset:
		for _, c := range h.conns {
			c.longest.Store(0)
		}
		return nil, nil
	case cmdRead:
		moment, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			return nil, err
		}
		return h.read(moment), nil
	default:
		return nil, fmt.Errorf("%w %q", errUnknownCommand, command)
	}
}

func (h *held) read(moment int64) Reading {
	r := Reading{Open: len(h.conns)}
	for _, c := range h.conns {
		if c.gone.Load() {
			r.Gone++
			continue
		}
		if c.lastEcho.Load() < moment {
			continue
		}
		r.Alive++
		longest := time.Duration(c.longest.Load())
		r.Longest = max(r.Longest, longest)
		if c.quick {
			r.Quick = append(r.Quick, longest)
		}
	}
	slices.Sort(r.Quick)
	return r
}
