// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// fewHeld is how many held connections of each haproxy a test looks after.
const fewHeld = 4

// held are connections that stay open, each through one of the haproxies.
type held []net.Conn

// errEcho is what a held connection ends with when something else comes back.
var errEcho = errors.New("not what was sent")

// hold opens a held connection through addr and tells whose haproxy has it.
func (p *pair) hold(t *testing.T, addr netip.Addr) (net.Conn, *lab.Host) {
	t.Helper()
	return p.holdAt(t, netip.AddrPortFrom(addr, lab.HeldPort))
}

// holdAt is hold for another port.
func (p *pair) holdAt(t *testing.T, target netip.AddrPort) (net.Conn, *lab.Host) {
	t.Helper()
	conn, err := p.Client().Dial(within(t), "tcp", target.String())
	check(t, err)
	// Its end leaves nothing behind.
	check(t, conn.(*net.TCPConn).SetLinger(0))
	t.Cleanup(func() { _ = conn.Close() })
	check(t, echoes(conn))
	by := p.ServedBy(conn.LocalAddr().(*net.TCPAddr).AddrPort())
	if by == nil {
		t.Fatal("nobody serves a connection that works")
	}
	return conn, by
}

// holdBoth opens held connections through addr until each haproxy has n, and returns
// those of a and those of b.
func (p *pair) holdBoth(t *testing.T, addr netip.Addr, n int) (ofA, ofB held) {
	t.Helper()
	const tries = 500
	for range tries {
		if len(ofA) >= n && len(ofB) >= n {
			return ofA, ofB
		}
		if conn, by := p.hold(t, addr); by == p.a {
			ofA = append(ofA, conn)
		} else {
			ofB = append(ofB, conn)
		}
	}
	t.Fatalf("of %d connections %d are at %s and %d at %s", tries, len(ofA), p.a.Name, len(ofB), p.b.Name)
	return nil, nil
}

// holdAll opens n held connections through addr, all of which the host is to serve.
func (p *pair) holdAll(t *testing.T, addr netip.Addr, n int, at *lab.Host) (all held) {
	t.Helper()
	for range n {
		conn, by := p.hold(t, addr)
		if by != at {
			t.Errorf("%s serves a new connection, want %s", by.Name, at.Name)
		}
		all = append(all, conn)
	}
	return all
}

// echoes sends a byte over a held connection and awaits it back.
func echoes(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{'x'}); err != nil {
		return err
	}
	buf := make([]byte, 1)
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	if buf[0] != 'x' {
		return errEcho
	}
	return nil
}

// live checks that every one of the connections works.
func (c held) live(t *testing.T, whose string) {
	t.Helper()
	for i, conn := range c {
		if err := echoes(conn); err != nil {
			t.Errorf("held connection %d of %d of %s, from %s: %v", i+1, len(c), whose, conn.LocalAddr(), err)
		}
	}
}

// broken checks that every one of the connections ends at the latest upon its next
// packet, without a timeout.
func (c held) broken(t *testing.T, whose string) {
	t.Helper()
	for _, conn := range c {
		switch err := echoes(conn); {
		case err == nil:
			t.Errorf("a held connection of %s goes on", whose)
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("a held connection of %s is left hanging", whose)
		}
	}
}

// reset checks that every one of the connections is reset upon its next packet.
func (c held) reset(t *testing.T, whose string) {
	t.Helper()
	for _, conn := range c {
		if err := echoes(conn); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("a held connection of %s ends with %v, want a reset", whose, err)
		}
	}
}

func (c held) close() {
	for _, conn := range c {
		_ = conn.Close()
	}
}

// traffic asks for the page over fresh connections until it is ended.
type traffic struct {
	quit chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	asked    int
	longest  time.Duration
	failures []string
}

// trafficInterval is short enough for every fault to hit some requests.
const trafficInterval = 5 * time.Millisecond

// traffic starts asking; who calls it also ends it.
func (p *pair) traffic(t *testing.T, addr netip.Addr) *traffic {
	t.Helper()
	tr := &traffic{quit: make(chan struct{})}
	url := fmt.Sprintf("http://%s/", netip.AddrPortFrom(addr, lab.HTTPPort))
	tr.wg.Go(func() {
		tick := time.NewTicker(trafficInterval)
		defer tick.Stop()
		for {
			select {
			case <-tr.quit:
				return
			case <-tick.C:
				tr.wg.Go(func() { tr.ask(t, p.Client(), url) })
			}
		}
	})
	t.Cleanup(tr.stop)
	tr.await(t, 20)
	return tr
}

func (tr *traffic) ask(t *testing.T, from *lab.Host, url string) {
	start := time.Now()
	text, err := fetch(t.Context(), from, url)
	took := time.Since(start)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.asked++
	tr.longest = max(tr.longest, took)
	if err != nil || text != lab.PageText {
		tr.failures = append(tr.failures, fmt.Sprintf("at %s after %v: %q, %v", start.Format("15:04:05.000"), took, text, err))
	}
}

// await waits for so many more answers.
func (tr *traffic) await(t *testing.T, n int) {
	t.Helper()
	before := tr.count()
	eventually(t, "requests to be answered", func() bool { return tr.count() >= before+n })
}

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.asked
}

func (tr *traffic) stop() {
	select {
	case <-tr.quit:
	default:
		close(tr.quit)
	}
	tr.wg.Wait()
}

// unharmed lets the traffic go on a little, ends it, and checks that not one request
// has failed. What was slow because a packet was lost has not failed.
func (tr *traffic) unharmed(t *testing.T) {
	t.Helper()
	tr.await(t, 20)
	tr.stop()
	t.Logf("%d requests, the longest took %v", tr.asked, tr.longest.Round(time.Millisecond))
	if n := len(tr.failures); n > 0 {
		t.Errorf("%d of %d requests failed:\n%s", n, tr.asked, strings.Join(tr.failures[:min(n, 10)], "\n"))
	}
}
