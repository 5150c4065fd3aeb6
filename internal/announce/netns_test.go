// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends enters a namespace with eth0 wired to peer0 and returns both.
func ends(t testing.TB) (eth0, peer0 Interface) {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	end := func(name string) Interface {
		attrs := nstest.Link(t, name).Attrs()
		return Interface{Name: name, Index: attrs.Index, MAC: attrs.HardwareAddr}
	}
	return end("eth0"), end("peer0")
}

func newSender(t testing.TB) *Sender {
	t.Helper()
	s, err := NewSender()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// capture hears every frame of one protocol that arrives at the interface.
func capture(t *testing.T, at Interface, protocol int) *packet.Conn {
	t.Helper()
	conn, err := packet.Listen(&net.Interface{Name: at.Name, Index: at.Index}, packet.Raw, protocol, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestAnnouncementsOnTheWire(t *testing.T) {
	eth0, peer0 := ends(t)
	eth0.LinkLocal = netip.MustParseAddr("fe80::1")
	s := newSender(t)
	for _, test := range []struct {
		addr     string
		protocol int
	}{
		{"10.0.0.9", unix.ETH_P_ARP},
		{"fd00::9", unix.ETH_P_IPV6},
	} {
		conn := capture(t, peer0, test.protocol)
		if n, err := s.Announce(eth0, addrs(test.addr)); n != 1 || err != nil {
			t.Fatalf("%s: sent %d, %v", test.addr, n, err)
		}
		want, err := Frame(netip.MustParseAddr(test.addr), eth0.MAC, eth0.LinkLocal)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2048)
		for {
			// The kernel's own router solicitations and the like may come first.
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				t.Fatalf("%s: not seen at the other end: %v", test.addr, err)
			}
			if string(buf[:n]) == string(want) {
				break
			}
		}
	}
}

func TestAnnounceFailures(t *testing.T) {
	eth0, _ := ends(t)
	s := newSender(t)
	nstest.Down(t, "eth0")
	if n, err := s.Announce(eth0, addrs("10.0.0.8", "10.0.0.9")); n != 0 || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("on a link that is down: %d sent, %v", n, err)
	}
	nstest.Up(t, "eth0")
	if n, err := s.Announce(eth0, addrs("10.0.0.9")); n != 1 || err != nil {
		t.Errorf("once it is up again: %d sent, %v", n, err)
	}
	nstest.Delete(t, "eth0")
	if n, err := s.Announce(eth0, addrs("10.0.0.9")); n != 0 || err == nil {
		t.Errorf("on a link that is gone: %d sent, %v", n, err)
	}
	if _, err := s.Announce(Interface{Name: "tun0", Index: 1}, addrs("10.0.0.9")); !errors.Is(err, ErrNotEthernet) {
		t.Errorf("without a MAC: %v", err)
	}
}

func TestWatchReportsRivals(t *testing.T) {
	eth0, peer0 := ends(t)
	w, err := NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	vips := map[netip.Addr]struct{}{}
	for _, a := range addrs("10.0.0.9", "fd00::9", "10.0.0.10") {
		vips[a] = struct{}{}
	}
	virtual := net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	watched := Watched{
		Interfaces: map[int]string{eth0.Index: "eth0"},
		VIPs:       vips,
		MACs:       map[[6]byte]struct{}{[6]byte(eth0.MAC): {}, [6]byte(virtual): {}},
	}
	if err := w.Set(watched); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	claims := make(chan Claim, 100)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, func(c Claim) { claims <- c }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()

	s := newSender(t)
	send := func(addr string, mac net.HardwareAddr) {
		t.Helper()
		if _, err := s.Announce(Interface{Name: "peer0", Index: peer0.Index, MAC: mac}, addrs(addr)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(addr, kind string, mac net.HardwareAddr) {
		t.Helper()
		select {
		case c := <-claims:
			if c.Addr != netip.MustParseAddr(addr) || c.Kind != kind || c.MAC.String() != mac.String() || c.Interface != "eth0" {
				t.Errorf("claim %+v, want %s by %s over %s", c, addr, mac, kind)
			}
		case <-time.After(eventually.Patience):
			t.Fatalf("no claim of %s", addr)
		}
	}
	send("10.0.0.9", peer0.MAC)
	expect("10.0.0.9", "arp", peer0.MAC)
	send("fd00::9", peer0.MAC)
	expect("fd00::9", "na", peer0.MAC)

	// None of these is a rival's claim; the last one, which is, comes alone.
	send("10.0.0.77", peer0.MAC)
	send("10.0.0.9", eth0.MAC)
	send("10.0.0.9", virtual)
	send("10.0.0.10", peer0.MAC)
	expect("10.0.0.10", "arp", peer0.MAC)
	send("fd00::77", peer0.MAC)
	send("fd00::9", eth0.MAC)
	send("fd00::9", peer0.MAC)
	expect("fd00::9", "na", peer0.MAC)

	// An interface that goes down and up does not end the watch.
	nstest.Down(t, "eth0")
	nstest.Up(t, "eth0")
	nstest.Operational(t, "eth0", "peer0")
	send("10.0.0.9", peer0.MAC)
	expect("10.0.0.9", "arp", peer0.MAC)

	// More addresses than the filter holds.
	for i := range 1000 {
		vips[netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})] = struct{}{}
	}
	if err := w.Set(watched); err != nil {
		t.Fatal(err)
	}
	send("10.0.0.77", peer0.MAC)
	send("10.1.3.9", peer0.MAC)
	expect("10.1.3.9", "arp", peer0.MAC)
	if n := w.Malformed(); n != 0 {
		t.Errorf("%d frames were malformed", n)
	}

	raw := append(unhex(t, "ffffffffffff 02000000000a 0806"), unhex(t, goodARP)[:20]...)
	if err := unix.Sendto(s.fd, raw, 0, &unix.SockaddrLinklayer{Ifindex: peer0.Index}); err != nil {
		t.Fatal(err)
	}
	send("10.0.0.9", peer0.MAC)
	expect("10.0.0.9", "arp", peer0.MAC)
	if n := w.Malformed(); n != 1 {
		t.Errorf("%d frames were malformed, want 1", n)
	}
}

func BenchmarkAnnounce(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		for _, first := range []string{"10.0.0.1", "fd00::1"} {
			b.Run(fmt.Sprintf("%s/%d", first, n), func(b *testing.B) {
				eth0, _ := ends(b)
				s := newSender(b)
				var list []netip.Addr
				for a := netip.MustParseAddr(first); len(list) < n; a = a.Next() {
					list = append(list, a)
				}
				for b.Loop() {
					if _, err := s.Announce(eth0, list); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
