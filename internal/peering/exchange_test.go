package peering

import (
	"context"
	"errors"
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
	"hafast/internal/steering"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The wire of all tests here. Each end has a second address, which is not the one
// that the other end knows it by.
//
//	this namespace                                  peer
//	hfpee0 ════════════════════════════════════════ hfpee1
//	10.9.0.1, .11, fd09::1, ::11                    10.9.0.2, .12, fd09::2, ::12
func wire(t *testing.T) *nstest.Peer {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "hfpee0", "hfpee1")
	peer := nstest.NewPeer(t, "hfpee1")
	for _, a := range []string{"10.9.0.1/24", "10.9.0.11/24", "fd09::1/64", "fd09::11/64"} {
		nstest.Add(t, "hfpee0", a)
	}
	peer.Do(func() {
		for _, a := range []string{"10.9.0.2/24", "10.9.0.12/24", "fd09::2/64", "fd09::12/64"} {
			nstest.Add(t, "hfpee1", a)
		}
	})
	nstest.Operational(t, "hfpee0")
	return peer
}

// host is an Exchange that runs, and what it has reported.
type host struct {
	*Exchange
	stop func()

	mu      sync.Mutex
	reports []Peer
}

// start runs an Exchange that was opened by open, in whichever namespace.
func start(t *testing.T, open func(func())) *host {
	t.Helper()
	var err error
	h := &host{}
	open(func() { h.Exchange, err = New() })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.Run(ctx, func(p Peer) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.reports = append(h.reports, p)
		})
	}()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func here(f func()) { f() }

// last is what was last reported of the only peer.
func (h *host) last() Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reports) == 0 {
		return Peer{}
	}
	return h.reports[len(h.reports)-1]
}

func (h *host) say(t *testing.T, node string, change func(*Hello)) {
	t.Helper()
	s := Hello{Node: node, State: Up, Services: list("10.8.0.1", 3)}
	if change != nil {
		change(&s)
	}
	if err := h.SetSelf(s); err != nil {
		t.Error(err)
	}
}

func TestTwoHosts(t *testing.T) {
	for _, test := range []struct{ family, a, b string }{
		{"IPv4", "10.9.0.1", "10.9.0.2"},
		{"IPv6", "fd09::1", "fd09::2"},
	} {
		t.Run(test.family, func(t *testing.T) { twoHosts(t, addr(test.a), addr(test.b)) })
	}
}

func twoHosts(t *testing.T, atA, atB netip.Addr) {
	peer := wire(t)
	a := start(t, here)
	a.SetPeers([]Neighbour{{Addr: atB, Source: atA}})
	a.say(t, "haa", nil)
	startB := func() *host {
		b := start(t, peer.Do)
		b.SetPeers([]Neighbour{{Addr: atA, Source: atB}})
		b.say(t, "hab", nil)
		return b
	}
	b := startB()

	eventually.True(t, "b knows a", func() bool { return b.last().Hello.Node == "haa" })
	eventually.True(t, "a knows b", func() bool { return a.last().Hello.Node == "hab" })
	if p := a.last(); p.Silent || p.Addr != atB || !slices.Equal(p.Hello.Services, list("10.8.0.1", 3)) {
		t.Errorf("a knows b as %+v", p)
	}

	b.say(t, "hab", func(h *Hello) { h.State, h.Reason, h.Left = Drain, "drained", 3 })
	eventually.True(t, "a sees that b drains", func() bool { return a.last().Hello.State == Drain && a.last().Hello.Left == 3 })
	// Left alone is no reason to hurry, but is told.
	b.say(t, "hab", func(h *Hello) { h.State, h.Reason, h.Left = Drain, "drained", 2 })
	eventually.True(t, "a sees how many are left", func() bool { return a.last().Hello.Left == 2 })

	b.stop()
	eventually.True(t, "a sees b's silence", func() bool { return a.last().Silent })
	boot := a.last().Hello.Boot
	if a.last().Hello.State != Drain {
		t.Errorf("what b said last is gone: %+v", a.last())
	}

	b = startB()
	eventually.True(t, "a sees that b is back", func() bool { return !a.last().Silent && a.last().Hello.State == Up })
	if a.last().Hello.Boot == boot {
		t.Error("the same boot id twice")
	}
	// All there can be said of services, in fragments.
	all := slices.Concat(list("10.8.0.1", MaxServices), list("fd08::1", MaxServices))
	b.say(t, "hab", func(h *Hello) { h.Services = all })
	eventually.True(t, "a has all services", func() bool { return slices.Equal(a.last().Hello.Services, all) })

	b.say(t, "hab", func(h *Hello) { h.State = Stopping })
	b.stop()
	eventually.True(t, "a hears the goodbye", func() bool { return a.last().Hello.State == Stopping })
	for reason, n := range a.Stats().Rejected {
		// A sender that moves to another processor may overtake itself on a veth.
		if n != 0 && reason != RejectOld {
			t.Errorf("%d packets rejected: %s", n, reason)
		}
	}
}

// listener is a Conn that collects.
type listener struct {
	*Conn
	mu      sync.Mutex
	packets []Packet
}

func listen(t *testing.T, open func(func())) *listener {
	t.Helper()
	l := &listener{}
	var err error
	open(func() { l.Conn, err = Open() })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- l.Run(ctx, func(p Packet) {
			p.Payload = slices.Clone(p.Payload)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.packets = append(l.packets, p)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return l
}

func (l *listener) heard() []Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.packets)
}

func TestGoodbyeIsSaidThreeTimes(t *testing.T) {
	peer := wire(t)
	l := listen(t, peer.Do)
	a := start(t, here)
	a.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}})
	// Nothing was said before: these three come from Run's end, or the last of them.
	a.say(t, "haa", func(h *Hello) { h.State = Stopping })
	a.stop()
	eventually.True(t, "three goodbyes", func() bool { return len(l.heard()) >= 3 })
	seen := map[uint64]bool{}
	for _, p := range l.heard() {
		h, err := Decode(p.Payload)
		if err != nil || h.State != Stopping || seen[h.Sequence] {
			t.Errorf("%+v %v", h, err)
		}
		seen[h.Sequence] = true
	}
}

func TestConnOnTheWire(t *testing.T) {
	peer := wire(t)
	l := listen(t, peer.Do)
	c := listen(t, here)
	index := nstest.Link(t, "hfpee0").Attrs().Index
	nstest.Add(t, "hfpee0", "fe80::1/64")
	peer.Do(func() { nstest.Add(t, "hfpee1", "fe80::2/64") })
	for i, test := range []struct {
		to     Neighbour
		source string
	}{
		{Neighbour{Addr: addr("10.9.0.2")}, "10.9.0.1"},
		{Neighbour{Addr: addr("10.9.0.2"), Source: addr("10.9.0.11")}, "10.9.0.11"},
		{Neighbour{Addr: addr("::ffff:10.9.0.12"), Source: addr("::ffff:10.9.0.1"), Interface: index}, "10.9.0.1"},
		{Neighbour{Addr: addr("fd09::2"), Source: addr("fd09::1")}, "fd09::1"},
		{Neighbour{Addr: addr("fd09::2"), Source: addr("fd09::11"), Interface: index}, "fd09::11"},
		{Neighbour{Addr: addr("fe80::2"), Source: addr("fe80::1"), Interface: index}, "fe80::1"},
	} {
		if err := c.Send([]byte{byte(i)}, test.to); err != nil {
			t.Fatalf("%+v: %v", test.to, err)
		}
		eventually.True(t, "a datagram arrives", func() bool { return len(l.heard()) > i })
		got := l.heard()[i]
		if got.TTL != 255 || got.From != netip.AddrPortFrom(addr(test.source), Port) || !slices.Equal(got.Payload, []byte{byte(i)}) {
			t.Errorf("%+v arrives as %+v", test.to, got)
		}
	}
	if err := c.Send(nil, Neighbour{Addr: addr("192.0.2.1")}); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("to where no route goes: %v", err)
	}
	if err := c.Send(nil, Neighbour{Addr: addr("10.9.0.2"), Source: addr("192.0.2.1")}); err == nil {
		t.Error("sent from an address that is not this host's")
	}
}

func TestForgedHellos(t *testing.T) {
	peer := wire(t)
	a := start(t, here)
	a.say(t, "haa", nil)
	a.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}, {Addr: addr("fd09::2")}})
	forger := listen(t, peer.Do)
	eventually.True(t, "the peers are in force", func() bool { return len(forger.heard()) > 0 })

	rejected := func(reason Reject, send func()) {
		t.Helper()
		before := a.Stats().Rejected[reason]
		send()
		eventually.True(t, "rejected: "+string(reason), func() bool { return a.Stats().Rejected[reason] > before })
	}
	forge := func(source, to string) {
		t.Helper()
		if err := forger.Send(encode(t, numbered(1, 1)), Neighbour{Addr: addr(to), Source: addr(source)}); err != nil {
			t.Error(err)
		}
	}
	rejected(RejectPeer, func() { forge("10.9.0.12", "10.9.0.1") })
	rejected(RejectPeer, func() { forge("fd09::12", "fd09::1") })
	rejected(RejectPort, func() {
		var conn net.PacketConn
		var err error
		peer.Do(func() { conn, err = net.ListenPacket("udp4", "10.9.0.2:0") })
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		setHops(t, conn.(*net.UDPConn), unix.IPPROTO_IP, unix.IP_TTL, 255)
		if _, err := conn.WriteTo(encode(t, numbered(1, 1)), &net.UDPAddr{IP: net.IPv4(10, 9, 0, 1), Port: Port}); err != nil {
			t.Error(err)
		}
	})
	setHops(t, forger.four.udp, unix.IPPROTO_IP, unix.IP_TTL, 254)
	setHops(t, forger.six.udp, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 254)
	rejected(RejectTTL, func() { forge("10.9.0.2", "10.9.0.1") })
	rejected(RejectTTL, func() { forge("fd09::2", "fd09::1") })
	if p := a.last(); p.Addr.IsValid() || a.Stats().Accepted != 0 {
		t.Errorf("believed: %+v", p)
	}

	// The same hellos are good when they come as a peer's do.
	setHops(t, forger.four.udp, unix.IPPROTO_IP, unix.IP_TTL, 255)
	forge("10.9.0.2", "10.9.0.1")
	eventually.True(t, "the peer is heard", func() bool { return a.last().Hello.Node == "haa" })
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

func TestWhatCannotBeSentIsReported(t *testing.T) {
	wire(t)
	a := start(t, here)
	a.say(t, "haa", nil)
	a.SetPeers([]Neighbour{{Addr: addr("192.0.2.1")}})
	eventually.True(t, "reported", func() bool { return strings.Contains(a.last().Unsent, "network is unreachable") })
	eventually.True(t, "counted", func() bool { return a.Stats().Unsent > 2 })
}

func TestPortTaken(t *testing.T) {
	nstest.Enter(t)
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := New(); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "ss -ulnp") {
		t.Errorf("%v", err)
	}
}

func TestSetSelfWithoutStateIsRefused(t *testing.T) {
	nstest.Enter(t)
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.SetSelf(Hello{}); !errors.Is(err, RejectValue) {
		t.Errorf("no state: %v", err)
	}
	err = e.SetSelf(Hello{State: Up, Services: []steering.Service{{}}})
	if !errors.Is(err, ErrLeftOut) || e.notes.self.State != Up {
		t.Errorf("a service that is none: %v, %+v", err, e.notes.self)
	}
}

// TestBlockedReport: while nobody takes the reports, all else goes on, and Run
// ends when it is told to.
func TestBlockedReport(t *testing.T) {
	peer := wire(t)
	b := start(t, peer.Do)
	b.SetPeers([]Neighbour{{Addr: addr("10.9.0.1")}})
	b.say(t, "hab", nil)

	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	blocked, done := make(chan struct{}), make(chan error, 1)
	once := sync.OnceFunc(func() { close(blocked) })
	e.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}})
	go func() {
		done <- e.Run(ctx, func(Peer) {
			once()
			<-ctx.Done()
		})
	}()
	<-blocked
	for state := Up; state <= Stopping; state++ {
		if err := e.SetSelf(Hello{State: state}); err != nil {
			t.Error(err)
		}
		e.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}})
		if len(e.Peers()) != 1 || e.Stats().Accepted == 0 {
			t.Error("nothing to be seen")
		}
		if _, ok := e.Owner(addr("10.9.0.2")); !ok {
			t.Error("the peer's own address is not its own")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	eventually.True(t, "the goodbye is heard", func() bool { return b.last().Hello.State == Stopping })
}
