// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ProbeTimeout is how long a held connection may take to echo a byte.
	ProbeTimeout = 2 * time.Second
	// beatInterval is how often it is used before the fault, and quickBeat how often where
	// the fault is short and connections are in use meanwhile.
	beatInterval = 100 * time.Millisecond
	quickBeat    = 50 * time.Millisecond
	// redialInterval is the pause after an attempt to open one that failed.
	redialInterval = 20 * time.Millisecond
)

// errWrongEcho is a connection's end: something else than its byte came back.
var errWrongEcho = errors.New("wrong echo")

// heldConns are connections that stay open and echo a byte now and then.
type heldConns struct {
	target netip.AddrPort
	every  time.Duration
	// opened is closed when all are open, quiet to end their heartbeats.
	opened, quiet chan struct{}
	beating       sync.WaitGroup
	alive         atomic.Int64
	// conns belongs to open until opened is closed, and is not changed after.
	conns []*heldConn
}

// heldConn is used by one goroutine at a time: its heartbeat, then the probe.
type heldConn struct {
	conn net.Conn
	// beats numbers the bytes, so that a late echo is not taken for this one's.
	beats byte
	dead  atomic.Bool
}

func newHeldConns(target netip.AddrPort, every time.Duration) *heldConns {
	return &heldConns{target: target, every: every, opened: make(chan struct{}), quiet: make(chan struct{})}
}

// open opens n connections and keeps them beating until rest. It closes them
// and returns at the end of ctx.
func (h *heldConns) open(ctx context.Context, n int) {
	defer func() {
		h.beating.Wait()
		for _, c := range h.conns {
			_ = c.conn.Close()
		}
	}()
	for len(h.conns) < n {
		c, err := dialHeld(ctx, h.target)
		if err != nil {
			select {
			case <-time.After(redialInterval):
				continue
			case <-ctx.Done():
				return
			}
		}
		h.conns = append(h.conns, c)
		h.alive.Add(1)
		h.beating.Go(func() { h.keepBeating(ctx, c) })
	}
	close(h.opened)
	<-ctx.Done()
}

// dialHeld opens a connection that reaches the echo server behind haproxy.
func dialHeld(ctx context.Context, target netip.AddrPort) (*heldConn, error) {
	conn, err := (&net.Dialer{Timeout: ProbeTimeout, KeepAlive: -1}).DialContext(ctx, "tcp", target.String())
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	c := &heldConn{conn: conn}
	if err := c.beat(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (h *heldConns) keepBeating(ctx context.Context, c *heldConn) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !h.beat(c) {
				return
			}
		case <-h.quiet:
			return
		case <-ctx.Done():
			return
		}
	}
}

// list returns the connections that stand while they go on beating.
func (h *heldConns) list() []netip.AddrPort {
	<-h.opened
	return h.living()
}

// rest ends the heartbeats, waits for those under way and returns the connections
// that stand, by this end's address. Call it once, after all have been opened.
func (h *heldConns) rest() []netip.AddrPort {
	<-h.opened
	close(h.quiet)
	h.beating.Wait()
	return h.living()
}

// probe sends a byte over every resting connection and returns those that echoed.
func (h *heldConns) probe() []netip.AddrPort {
	var wg sync.WaitGroup
	for _, c := range h.conns {
		wg.Go(func() { h.beat(c) })
	}
	wg.Wait()
	return h.living()
}

// living returns the connections that are not dead.
func (h *heldConns) living() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, c := range h.conns {
		if !c.dead.Load() {
			addrs = append(addrs, c.conn.LocalAddr().(*net.TCPAddr).AddrPort())
		}
	}
	return addrs
}

// standing returns how many connections work, -1 while they are being opened.
func (h *heldConns) standing() int {
	select {
	case <-h.opened:
		return int(h.alive.Load())
	default:
		return -1
	}
}

// beat sends a byte, awaits its echo and reports whether the connection lives.
func (h *heldConns) beat(c *heldConn) bool {
	if c.dead.Load() {
		return false
	}
	if c.beat() != nil {
		c.dead.Store(true)
		h.alive.Add(-1)
	}
	return !c.dead.Load()
}

func (c *heldConn) beat() error {
	if err := c.conn.SetDeadline(time.Now().Add(ProbeTimeout)); err != nil {
		return err
	}
	c.beats++
	buf := []byte{c.beats}
	if _, err := c.conn.Write(buf); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.conn, buf); err != nil {
		return err
	}
	if buf[0] != c.beats {
		return errWrongEcho
	}
	return nil
}
