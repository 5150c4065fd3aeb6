// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"hafast/internal/eventually"
	"hafast/internal/link"
	"hafast/pkg/vrrp"
)

// wireLab is advertWires whose sockets open when the test says so, without a loop: the
// test takes what is posted.
type wireLab struct {
	*advertWires
	t         *testing.T
	in        *instance
	answers   chan wireOpened // what open returns next
	posted    chan event
	instances []*instance
}

func newWireLab(t *testing.T) *wireLab {
	t.Helper()
	l := &wireLab{t: t, answers: make(chan wireOpened), posted: make(chan event, 10)}
	l.advertWires = newAdvertWires(t.Context(), func(_ context.Context, ev event) { l.posted <- ev }, slog.New(slog.DiscardHandler))
	l.open = func(wireKey) (advertConn, error) {
		a := <-l.answers
		return a.conn, a.err
	}
	l.instances = instancesOf(parse(t, member(1, 2)))
	l.in = l.instances[0]
	return l
}

// links are eth0's condition, with that index; 0 for none.
func (l *wireLab) links(index int) map[string]link.State {
	if index == 0 {
		return nil
	}
	return map[string]link.State{"eth0": {Name: "eth0", Index: index, Up: true}}
}

// answer ends the opening that is under way, and hands over what is posted.
func (l *wireLab) answer(conn advertConn, err error) {
	l.t.Helper()
	l.answers <- wireOpened{conn: conn, err: err}
	l.opened((<-l.posted).(wireOpened))
}

// sends reports whether an advert leaves by the conn.
func (l *wireLab) sends(conn *fakeConn) bool {
	before := conn.sent
	err := l.send(l.in, []byte{1}, vrrp.Group4())
	return err == nil && conn.sent == before+1
}

// fakeConn is a socket that receives nothing.
type fakeConn struct {
	index  int
	sent   int
	closed chan struct{}
}

func newFakeConn(index int) *fakeConn { return &fakeConn{index: index, closed: make(chan struct{})} }

func (c *fakeConn) Send([]byte, netip.Addr, netip.Addr) error { c.sent++; return nil }

func (c *fakeConn) SendFrom(_ [6]byte, b []byte, src, dst netip.Addr) error {
	return c.Send(b, src, dst)
}

func (c *fakeConn) Run(ctx context.Context, _ func(vrrp.Packet)) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *fakeConn) Index() int   { return c.index }
func (c *fakeConn) Close() error { close(c.closed); return nil }

func (c *fakeConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// TestWiresOpenInTheBackground: follow returns while a socket is being opened, however
// long that takes.
func TestWiresOpenInTheBackground(t *testing.T) {
	l := newWireLab(t)
	l.follow(l.instances, l.links(2))
	if !l.pending(l.in) || l.trouble(l.in) != "" {
		t.Errorf("pending %t, trouble %q of a socket that is being opened", l.pending(l.in), l.trouble(l.in))
	}
	if l.send(l.in, []byte{1}, vrrp.Group4()) == nil {
		t.Error("an advert left without a socket")
	}
	l.follow(l.instances, l.links(2)) // the same again opens nothing more
	first := newFakeConn(2)
	l.answer(first, nil)
	if l.pending(l.in) || !l.sends(first) {
		t.Error("an open socket is not used")
	}

	// The interface is removed and made again.
	l.follow(l.instances, l.links(3))
	if !l.pending(l.in) {
		t.Error("a new interface needs no new socket")
	}
	eventually.True(t, "the old one is closed", first.isClosed)
	second := newFakeConn(3)
	l.answer(second, nil)
	if !l.sends(second) {
		t.Error("the new socket is not used")
	}

	l.follow(l.instances, l.links(0))
	eventually.True(t, "without an interface there is no socket", second.isClosed)
	if l.pending(l.in) {
		t.Error("one is opened without an interface")
	}
}

// TestWiresChangeWhileOpening: what was opened may not be what is wanted by then.
func TestWiresChangeWhileOpening(t *testing.T) {
	l := newWireLab(t)
	l.follow(l.instances, l.links(2))
	l.follow(l.instances, l.links(3))
	stale, fresh := newFakeConn(2), newFakeConn(3)
	l.answer(stale, nil)
	eventually.True(t, "the socket on the old interface is closed", stale.isClosed)
	if !l.pending(l.in) {
		t.Fatal("none is opened on the new interface")
	}
	l.follow(l.instances, l.links(0))
	l.answer(fresh, nil)
	eventually.True(t, "a socket that nobody wants any more is closed", fresh.isClosed)
	if l.pending(l.in) || l.send(l.in, []byte{1}, vrrp.Group4()) == nil {
		t.Error("it is used all the same")
	}
}

// TestWiresFail: a failure is a fault until the next change tries again.
func TestWiresFail(t *testing.T) {
	l := newWireLab(t)
	l.follow(l.instances, l.links(2))
	l.answer(nil, errors.New("no more sockets"))
	if got := l.trouble(l.in); !strings.Contains(got, "no more sockets") || l.pending(l.in) {
		t.Errorf("trouble %q, pending %t", got, l.pending(l.in))
	}
	l.follow(l.instances, l.links(2))
	conn := newFakeConn(2)
	l.answer(conn, nil)
	if l.trouble(l.in) != "" || !l.sends(conn) {
		t.Errorf("trouble %q after the socket has opened", l.trouble(l.in))
	}
}
