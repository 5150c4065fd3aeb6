// SPDX-License-Identifier: Apache-2.0

package advert_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/advert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// lab is a network namespace with a veth pair. Adverts go out and come in at
// one end; the test reads and writes bare frames at the other.
//
//	Conn ── hfadv0 ════════ hfadv1 ── packet socket
//	        10.9.0.1, .3             no addresses
//	        fe80::1
type lab struct {
	t    *testing.T
	near *net.Interface
	far  *net.Interface
	tap  *packet.Conn
}

var (
	near4  = netip.MustParseAddr("10.9.0.1")
	other4 = netip.MustParseAddr("10.9.0.3") // the interface's second address
	peer4  = netip.MustParseAddr("10.9.0.2")
	near6  = netip.MustParseAddr("fe80::1")
	peer6  = netip.MustParseAddr("fe80::2")
)

// newLab moves the calling goroutine into a namespace of its own. Its thread is
// never unlocked, and so ends with the test, and the namespace with it.
func newLab(t *testing.T) *lab {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if os.Getenv("HAFAST_REQUIRE_NETNS") == "1" {
			t.Fatalf("make a network namespace: %v", err)
		}
		t.Skipf("make a network namespace: %v", err)
	}
	l := &lab{t: t}
	l.plug()
	return l
}

// plug makes the veth pair and opens the tap.
func (l *lab) plug() {
	l.t.Helper()
	l.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hfadv0"}, PeerName: "hfadv1"}))
	near, far := l.link("hfadv0"), l.link("hfadv1")
	for _, prefix := range []string{"10.9.0.1/24", "10.9.0.3/24", "fe80::1/64"} {
		addr, err := netlink.ParseAddr(prefix)
		l.must(err)
		addr.Flags = unix.IFA_F_NODAD
		l.must(netlink.AddrAdd(near, addr))
	}
	l.must(netlink.LinkSetUp(near))
	l.must(netlink.LinkSetUp(far))
	l.wait("carrier", func() bool {
		return l.link("hfadv0").Attrs().OperState == netlink.OperUp && l.link("hfadv1").Attrs().OperState == netlink.OperUp
	})
	// The kernel gets IPv6 addresses ready in the background.
	l.wait("the route to "+near6.String(), func() bool {
		local := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Dst: netlink.NewIPNet(near6.AsSlice())}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, local, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		l.must(err)
		return len(routes) > 0
	})
	for _, peer := range []netip.Addr{peer4, peer6} {
		l.must(netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: near.Attrs().Index, IP: peer.AsSlice(), HardwareAddr: far.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT,
		}))
	}
	var err error
	l.near, err = net.InterfaceByName("hfadv0")
	l.must(err)
	l.far, err = net.InterfaceByName("hfadv1")
	l.must(err)
	l.tap, err = packet.Listen(l.far, packet.Raw, unix.ETH_P_ALL, nil)
	l.must(err)
	tap := l.tap
	l.t.Cleanup(func() { tap.Close() })
	l.must(l.tap.SetReadDeadline(time.Now().Add(patience)))
}

func (l *lab) link(name string) netlink.Link {
	l.t.Helper()
	found, err := netlink.LinkByName(name)
	l.must(err)
	return found
}

// wait asks until it is so.
func (l *lab) wait(what string, so func() bool) {
	l.t.Helper()
	poll, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer poll.Stop()
	for !so() {
		select {
		case <-poll.C:
		case <-late:
			l.t.Fatalf("%s has not come", what)
		}
	}
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) open(ip6 bool) *advert.Conn {
	l.t.Helper()
	c, err := advert.Open("hfadv0", ip6)
	l.must(err)
	l.t.Cleanup(func() { c.Close() })
	return c
}

// seen is a frame with IP protocol 112, taken apart by hand.
type seen struct {
	dstMAC, srcMAC [6]byte
	src, dst       netip.Addr
	protocol, ttl  byte
	class          byte
	payload        []byte
}

// next is the next VRRP frame that arrives at the far end.
func (l *lab) next() seen {
	l.t.Helper()
	buf := make([]byte, 10000)
	for {
		n, _, err := l.tap.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.t.Fatal("no frame with IP protocol 112 has come")
		}
		l.must(err)
		if s, ok := dissect(l.t, buf[:n]); ok {
			return s
		}
	}
}

func dissect(t *testing.T, f []byte) (s seen, ok bool) {
	t.Helper()
	s.dstMAC, s.srcMAC = [6]byte(f[0:6]), [6]byte(f[6:12])
	switch ip := f[14:]; binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		header, length := int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if sum := checksum(ip[:header]); sum != 0 {
			t.Errorf("IPv4 header's sum is %#04x, want 0", sum)
		}
		s.class, s.ttl, s.protocol = ip[1], ip[8], ip[9]
		s.src, s.dst = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		s.payload = ip[header:length]
	case 0x86dd:
		s.class = ip[0]<<4 | ip[1]>>4
		s.protocol, s.ttl = ip[6], ip[7]
		s.src, s.dst = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		s.payload = ip[40 : 40+int(binary.BigEndian.Uint16(ip[4:]))]
	}
	return s, s.protocol == 112
}

// checksum is RFC 1071's; over all that a right checksum covers it is 0.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
