// SPDX-License-Identifier: Apache-2.0

package advert_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"hafast/internal/advert"
	"hafast/pkg/vrrp"
)

// message is an advert as it goes on the wire.
func message(t *testing.T, src, dst netip.Addr) []byte {
	t.Helper()
	vips := []netip.Addr{netip.MustParseAddr("10.9.0.100")}
	if src.Is6() {
		vips = []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")}
	}
	a := vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: vips}
	b, err := a.AppendBinary(nil, src, dst, vrrp.ChecksumLegacy)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSendOnTheWire(t *testing.T) {
	for _, tc := range []struct {
		name     string
		src, dst netip.Addr
		group    [6]byte // the destination MAC of a group, zero for a peer
		vmac     [6]byte // zero for the interface's own
	}{
		{name: "1 2 4 to the IPv4 group", src: near4, dst: vrrp.Group4(), group: [6]byte{0x01, 0x00, 0x5e, 0, 0, 0x12}},
		{name: "1 2 4 to the IPv4 group from another address", src: other4, dst: vrrp.Group4(), group: [6]byte{0x01, 0x00, 0x5e, 0, 0, 0x12}},
		{name: "1 2 4 to an IPv4 peer", src: other4, dst: peer4},
		{name: "1 2 4 6 to the IPv6 group", src: near6, dst: vrrp.Group6(), group: [6]byte{0x33, 0x33, 0, 0, 0, 0x12}},
		{name: "1 2 4 6 to an IPv6 peer", src: near6, dst: peer6},
		{
			name: "1 2 3 4 to the IPv4 group from the virtual MAC", src: near4, dst: vrrp.Group4(),
			group: [6]byte{0x01, 0x00, 0x5e, 0, 0, 0x12}, vmac: [6]byte{0, 0, 0x5e, 0, 1, 51},
		},
		{
			name: "1 2 3 4 6 to the IPv6 group from the virtual MAC", src: near6, dst: vrrp.Group6(),
			group: [6]byte{0x33, 0x33, 0, 0, 0, 0x12}, vmac: [6]byte{0, 0, 0x5e, 0, 2, 51},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			c := l.open(tc.src.Is6())
			sent := message(t, tc.src, tc.dst)
			wantMAC, wantTo := [6]byte(l.near.HardwareAddr), tc.group
			if tc.vmac == [6]byte{} {
				l.must(c.Send(sent, tc.src, tc.dst))
			} else {
				wantMAC = tc.vmac
				l.must(c.SendFrom(tc.vmac, sent, tc.src, tc.dst))
			}
			if wantTo == [6]byte{} {
				wantTo = [6]byte(l.far.HardwareAddr)
			}
			got := l.next()
			if got.protocol != 112 || got.dst != tc.dst || got.dstMAC != wantTo {
				t.Errorf("1: protocol %d to %s, %x; want 112 to %s, %x", got.protocol, got.dst, got.dstMAC, tc.dst, wantTo)
			}
			if got.ttl != 255 {
				t.Errorf("2: TTL or hop limit is %d", got.ttl)
			}
			if got.srcMAC != wantMAC {
				t.Errorf("3: source MAC is %x, want %x", got.srcMAC, wantMAC)
			}
			if got.src != tc.src {
				t.Errorf("4: source is %s, want %s", got.src, tc.src)
			}
			if got.class != 0xc0 {
				t.Errorf("traffic class is %#x, want CS6", got.class)
			}
			if !bytes.Equal(got.payload, sent) {
				t.Errorf("payload is %x, want %x", got.payload, sent)
			}
			if tc.src.Is6() {
				covered := slices.Concat(got.src.AsSlice(), got.dst.AsSlice(), []byte{0, 0, 0, byte(len(got.payload)), 0, 0, 0, 112}, got.payload)
				if sum := checksum(covered); sum != 0 {
					t.Errorf("6: sum with pseudo-header is %#04x, want 0", sum)
				}
			}
		})
	}
}

func TestSendFromReachesGroupsOnly(t *testing.T) {
	l := newLab(t)
	c := l.open(false)
	if err := c.SendFrom([6]byte{0, 0, 0x5e, 0, 1, 51}, message(t, near4, peer4), near4, peer4); err == nil {
		t.Error("a unicast frame was sent from the virtual MAC")
	}
}

func TestSendFromAddressOfNobody(t *testing.T) {
	l := newLab(t)
	if err := l.open(false).Send(message(t, peer4, vrrp.Group4()), netip.MustParseAddr("10.9.0.77"), vrrp.Group4()); err == nil {
		t.Error("an address that the interface does not have was a source")
	}
}

func TestOpenWithoutInterface(t *testing.T) {
	newLab(t)
	if c, err := advert.Open("hfadv9", false); err == nil {
		c.Close()
		t.Error("no error")
	}
}

// running is a Conn whose Run runs.
type running struct {
	packets chan vrrp.Packet
	ended   chan error
	cancel  context.CancelFunc
}

func run(t *testing.T, c *advert.Conn) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{packets: make(chan vrrp.Packet, 16), ended: make(chan error, 1), cancel: cancel}
	go func() { r.ended <- c.Run(ctx, func(p vrrp.Packet) { r.packets <- p }) }()
	t.Cleanup(cancel)
	return r
}

func (r *running) next(t *testing.T) vrrp.Packet {
	t.Helper()
	select {
	case p := <-r.packets:
		return p
	case err := <-r.ended:
		t.Fatalf("Run ended: %v", err)
	case <-time.After(patience):
		t.Fatal("nothing was received")
	}
	return vrrp.Packet{}
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
	return nil
}

// inject puts a frame on the wire at the far end.
func (l *lab) inject(src, dst netip.Addr, ttl byte, payload []byte) {
	l.t.Helper()
	mac := []byte{0x01, 0x00, 0x5e, 0, 0, 0x12}
	switch {
	case !dst.IsMulticast():
		mac = l.near.HardwareAddr
	case dst.Is6():
		mac = []byte{0x33, 0x33, 0, 0, 0, 0x12}
	}
	f := slices.Concat(mac, l.far.HardwareAddr)
	if src.Is4() {
		ip := slices.Concat([]byte{0x45, 0, 0, byte(20 + len(payload)), 0, 0, 0, 0, ttl, 112, 0, 0}, src.AsSlice(), dst.AsSlice())
		sum := checksum(ip)
		ip[10], ip[11] = byte(sum>>8), byte(sum)
		f = slices.Concat(f, []byte{0x08, 0x00}, ip, payload)
	} else {
		f = slices.Concat(f, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(payload)), 112, ttl}, src.AsSlice(), dst.AsSlice(), payload)
	}
	_, err := l.tap.WriteTo(f, &packet.Addr{HardwareAddr: mac})
	l.must(err)
}

func TestReceive(t *testing.T) {
	for _, tc := range []struct {
		name     string
		src, dst netip.Addr
		ttl      byte
	}{
		{"the IPv4 group", peer4, vrrp.Group4(), 255},
		{"14 a TTL of 254 is reported", peer4, vrrp.Group4(), 254},
		{"IPv4 unicast", peer4, near4, 255},
		{"the IPv6 group", peer6, vrrp.Group6(), 255},
		{"14 a hop limit of 1 is reported", peer6, vrrp.Group6(), 1},
		{"IPv6 unicast", peer6, near6, 255},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			r := run(t, l.open(tc.src.Is6()))
			payload := message(t, tc.src, tc.dst)
			l.inject(tc.src, tc.dst, tc.ttl, payload)
			got := r.next(t)
			if got.Src != tc.src || got.Dst != tc.dst || got.TTL != int(tc.ttl) || !bytes.Equal(got.Payload, payload) {
				t.Errorf("received %+v, want %s to %s with TTL %d, %x", got, tc.src, tc.dst, tc.ttl, payload)
			}
			// What was reported is ours to keep.
			l.inject(tc.src, tc.dst, 255, bytes.Repeat([]byte{0xff}, len(payload)))
			r.next(t)
			if !bytes.Equal(got.Payload, payload) {
				t.Error("the next packet overwrote the one before")
			}
			r.cancel()
			if err := r.end(t); err != nil {
				t.Errorf("Run returned %v after its context ended", err)
			}
		})
	}
}

func TestOwnAdvertsAreNotHeard(t *testing.T) {
	l := newLab(t)
	c := l.open(false)
	r := run(t, c)
	l.must(c.Send(message(t, near4, vrrp.Group4()), near4, vrrp.Group4()))
	l.next()
	l.inject(peer4, vrrp.Group4(), 255, message(t, peer4, vrrp.Group4()))
	if got := r.next(t); got.Src != peer4 {
		t.Errorf("received from %s", got.Src)
	}
}

func TestReceiveGoesOnAfterLinkDown(t *testing.T) {
	l := newLab(t)
	r := run(t, l.open(false))
	l.must(netlink.LinkSetDown(l.link("hfadv0")))
	l.must(netlink.LinkSetUp(l.link("hfadv0")))
	l.wait("carrier", func() bool { return l.link("hfadv1").Attrs().OperState == netlink.OperUp })
	l.inject(peer4, vrrp.Group4(), 255, message(t, peer4, vrrp.Group4()))
	r.next(t)
}

func TestInterfaceRecreated(t *testing.T) {
	for _, ip6 := range []bool{false, true} {
		name, src, dst := "IPv4", near4, vrrp.Group4()
		if ip6 {
			name, src, dst = "IPv6", near6, vrrp.Group6()
		}
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			old := l.open(ip6)
			l.must(old.Send(message(t, src, dst), src, dst))
			r := run(t, old)
			l.must(netlink.LinkDel(l.link("hfadv0")))
			l.plug()
			if old.Index() == l.near.Index {
				t.Error("the new interface has the old one's index")
			}
			if err := old.Send(message(t, src, dst), src, dst); err == nil {
				t.Error("the old connection still sends")
			}
			fresh := l.open(ip6)
			l.must(fresh.Send(message(t, src, dst), src, dst))
			l.next()
			// Closing is what ends the old one.
			l.must(old.Close())
			if err := r.end(t); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

func TestCloseEndsRun(t *testing.T) {
	l := newLab(t)
	c := l.open(true)
	r := run(t, c)
	l.must(c.Close())
	if err := r.end(t); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v", err)
	}
}
