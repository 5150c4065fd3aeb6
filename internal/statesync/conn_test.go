// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
	"hafast/internal/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var addr = netip.MustParseAddr

// cable is the network of all tests here. Each end has a second address, which is not the
// one that the other end knows it by.
//
//	this namespace                                  peer
//	hfsyn0 ════════════════════════════════════════ hfsyn1
//	10.9.0.1, .11, fd09::1, ::11                    10.9.0.2, .12, fd09::2, ::12
func cable(t *testing.T) *nstest.Peer {
	t.Helper()
	nstest.Enter(t)
	return lay(t)
}

// lay lays the cable from the calling thread's namespace.
func lay(t testing.TB) *nstest.Peer {
	t.Helper()
	nstest.Veth(t, "hfsyn0", "hfsyn1")
	peer := nstest.NewPeer(t, "hfsyn1")
	for _, a := range []string{"10.9.0.1/24", "10.9.0.11/24", "fd09::1/64", "fd09::11/64"} {
		nstest.Add(t, "hfsyn0", a)
	}
	peer.Do(func() {
		for _, a := range []string{"10.9.0.2/24", "10.9.0.12/24", "fd09::2/64", "fd09::12/64"} {
			nstest.Add(t, "hfsyn1", a)
		}
	})
	nstest.Operational(t, "hfsyn0")
	return peer
}

func here(f func()) { f() }

// listener is a conn that collects.
type listener struct {
	*conn
	mu        sync.Mutex
	datagrams []datagram
}

func listen(t *testing.T, open func(func())) *listener {
	t.Helper()
	l := &listener{}
	var err error
	open(func() { l.conn, err = openConn() })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- l.run(ctx, func(d datagram) {
			d.payload = slices.Clone(d.payload)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.datagrams = append(l.datagrams, d)
		}, func() {})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return l
}

func (l *listener) heard() []datagram {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.datagrams)
}

func TestConnOnTheWire(t *testing.T) {
	peer := cable(t)
	l := listen(t, peer.Do)
	c := listen(t, here)
	index := nstest.Link(t, "hfsyn0").Attrs().Index
	nstest.Add(t, "hfsyn0", "fe80::1/64")
	peer.Do(func() { nstest.Add(t, "hfsyn1", "fe80::2/64") })
	for i, test := range []struct {
		to     membership.Neighbour
		source string
	}{
		{membership.Neighbour{Addr: addr("10.9.0.2")}, "10.9.0.1"},
		{membership.Neighbour{Addr: addr("192.0.2.1"), Via: addr("10.9.0.2")}, "10.9.0.1"},
		{membership.Neighbour{Addr: addr("10.9.0.2"), Source: addr("10.9.0.11")}, "10.9.0.11"},
		{membership.Neighbour{Addr: addr("::ffff:10.9.0.12"), Source: addr("::ffff:10.9.0.1"), Interface: index}, "10.9.0.1"},
		{membership.Neighbour{Addr: addr("fd09::2"), Source: addr("fd09::1")}, "fd09::1"},
		{membership.Neighbour{Addr: addr("fd09::2"), Source: addr("fd09::11"), Interface: index}, "fd09::11"},
		{membership.Neighbour{Addr: addr("fe80::2"), Source: addr("fe80::1"), Interface: index}, "fe80::1"},
	} {
		payload := []byte{byte(i)}
		var got datagram
		eventually.True(t, fmt.Sprintf("a datagram to %+v arrives", test.to), func() bool {
			// The first one may fall to the search for the neighbour.
			if err := c.send(payload, test.to); err != nil {
				t.Fatalf("%+v: %v", test.to, err)
			}
			heard := l.heard()
			at := slices.IndexFunc(heard, func(d datagram) bool { return slices.Equal(d.payload, payload) })
			if at >= 0 {
				got = heard[at]
			}
			return at >= 0
		})
		if got.hops != 255 || got.from != netip.AddrPortFrom(addr(test.source), Port) {
			t.Errorf("%+v arrives as %+v", test.to, got)
		}
	}
	if err := c.send(nil, membership.Neighbour{Addr: addr("192.0.2.1")}); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("to where no route goes: %v", err)
	}
	if err := c.send(nil, membership.Neighbour{Addr: addr("10.9.0.2"), Source: addr("192.0.2.1")}); err == nil {
		t.Error("sent from an address that is not this host's")
	}
}

// TestDrain takes what has arrived, and waits for nothing.
func TestDrain(t *testing.T) {
	peer := cable(t)
	var to *conn
	var err error
	peer.Do(func() { to, err = openConn() })
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	to.drain(burst, func(d datagram) { t.Errorf("out of nothing: %+v", d) })
	from := listen(t, here)
	for i := range 3 {
		if err := from.send([]byte{byte(i)}, membership.Neighbour{Addr: addr("10.9.0.2")}); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	eventually.True(t, "three datagrams", func() bool {
		to.drain(burst, func(d datagram) { got = append(got, d.payload...) })
		return len(got) >= 3
	})
	slices.Sort(got)
	if !slices.Equal(got, []byte{0, 1, 2}) {
		t.Errorf("drained %v", got)
	}
}

func TestPortTaken(t *testing.T) {
	nstest.Enter(t)
	c, err := openConn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := openConn(); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "ss -ulnp") {
		t.Errorf("%v", err)
	}
}

func setHops(t *testing.T, conn *net.UDPConn, level, option, value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.SetsockoptInt(int(fd), level, option, value) })
	if err := errors.Join(err, failure); err != nil {
		t.Fatal(err)
	}
}
