// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hafast/test/netns/lab"
)

const (
	// alarmsVariable names the environment variable with the number of false alarms.
	alarmsVariable = "HAFAST_FALSE_ALARMS"
	defaultAlarms  = 18
	// manyHeld is how many connections of each haproxy are held meanwhile.
	manyHeld = 50
)

// quickLiveness is the default pace of liveness, for which a port that is closed for some
// milliseconds is a death.
const quickLiveness = "liveness: {interval: 2ms, multiplier: 3}\n"

// TestFalseAlarms closes the Active's port of the switch for some milliseconds, again and
// again, both ways and one way, while connections are in use on both haproxies. Nothing has
// died: no connection may be lost, and the VIP comes to rest on one host.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.run(t, single(quickLiveness, ""))
	p.sharing(t)
	port, err := p.a.PortSwitch()
	check(t, err)
	ofA, ofB := p.holdBoth(t, lab.VIP, manyHeld+1)
	bulks := []*bulk{p.transfer(t, ofA[0]), p.transfer(t, ofB[0])}
	ofA, ofB = ofA[1:], ofB[1:]

	alarms := defaultAlarms
	if text := os.Getenv(alarmsVariable); text != "" {
		alarms, err = strconv.Atoi(text)
		check(t, err)
	}
	var slowest time.Duration
	for i := range alarms {
		direction := []lab.Direction{lab.BothWays, lab.FromHost, lab.ToHost}[i%3]
		long := []time.Duration{5, 20, 50}[i/3%3] * time.Millisecond
		name := fmt.Sprintf("alarm %d, %v %s", i+1, long, direction)
		used := append(ofA[:len(ofA):len(ofA)], ofB...).use()
		port.CloseFor(direction, long)
		opened := time.Now()
		for conn, err := range used() {
			t.Errorf("%s: held connection from %s: %v", name, conn.LocalAddr(), err)
		}
		p.rests(t, name)
		slowest = max(slowest, time.Since(opened))
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		for _, b := range bulks {
			b.goesOn(t, name)
		}
		if t.Failed() {
			return
		}
	}
	p.answeredBy(t, p.a, lab.VIP)
	p.serves(t, lab.VIP)
	for _, h := range p.hosts {
		p.journalled(t, h, "peer", "suspected without need", 0)
	}
	t.Logf("%d alarms; the VIP was at rest, as seen from outside, after %v at most", alarms, slowest.Round(time.Millisecond))
}

// rests waits until the VIP is at rest after a false alarm: a alone is Active, and each
// host sends new flows to both.
func (p *pair) rests(t *testing.T, what string) {
	t.Helper()
	const moment = 100 * time.Millisecond
	check(t, lab.Steadily(within(t), what+": the VIP to come to rest", moment, func() bool {
		for _, h := range p.hosts {
			want := string(lab.StateBackup)
			if h == p.a {
				want = string(lab.StateActive)
			}
			st := p.status(t, h)
			for _, in := range st.Instances {
				if in.State != want {
					return false
				}
			}
			for _, target := range st.Targets {
				if target.State != "up" {
					return false
				}
			}
		}
		return true
	}))
}

// use has all connections echo a byte at once. The function that it returns waits for that,
// and returns those that did not.
func (c held) use() func() map[net.Conn]error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed = make(map[net.Conn]error)
	)
	for _, conn := range c {
		wg.Go(func() {
			if err := echoes(conn); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[conn] = err
			}
		})
	}
	return func() map[net.Conn]error { wg.Wait(); return failed }
}

// bulk is a transfer that goes on and on over a held connection, to the web host and back.
type bulk struct {
	conn   net.Conn
	blocks atomic.Int64
	// ended is closed when it is over, and err is why.
	ended chan struct{}
	err   error
}

// blockSize is what a bulk sends before it wants to have it back.
const blockSize = 128 << 10

// transfer begins a bulk, which ends with the test.
func (p *pair) transfer(t *testing.T, conn net.Conn) *bulk {
	t.Helper()
	b := &bulk{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		sent, got := make([]byte, blockSize), make([]byte, blockSize)
		for b.err == nil {
			b.err = b.block(sent, got)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-b.ended })
	return b
}

// block sends one and takes it back; no two of them are alike.
func (b *bulk) block(sent, got []byte) error {
	n := b.blocks.Load()
	for i := range sent {
		sent[i] = byte(int64(i) * (n + 1) >> 3)
	}
	if err := b.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() { _, err := b.conn.Write(sent); wrote <- err }()
	_, err := io.ReadFull(b.conn, got)
	if wrong := <-wrote; wrong != nil {
		return wrong
	}
	if err == nil && !bytes.Equal(sent, got) {
		err = errEcho
	}
	b.blocks.Add(1)
	return err
}

// goesOn waits until the bulk has moved two blocks more.
func (b *bulk) goesOn(t *testing.T, what string) {
	t.Helper()
	since := b.blocks.Load()
	eventually(t, what+": a bulk transfer to go on", func() bool {
		select {
		case <-b.ended:
			t.Fatalf("%s: a bulk transfer has broken after %d blocks: %v", what, b.blocks.Load(), b.err)
		default:
		}
		return b.blocks.Load() >= since+2
	})
}
