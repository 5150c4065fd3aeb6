// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

const wireTakeoverKinds = `
  - {name: V4, vrid: 51, priority: PRIORITY, advert_interval: 100ms, vips: [10.224.147.208, 10.224.147.209]}
  - {name: V6, vrid: 52, priority: PRIORITY, advert_interval: 100ms, vips: ["fd00:147::208"]}
  - {name: DEAF4, vrid: 53, priority: PRIORITY, advert_interval: 100ms, accept: false, vips: [10.224.147.210]}
  - {name: DEAF6, vrid: 54, priority: PRIORITY, advert_interval: 100ms, accept: false, vips: ["fd00:147::210"]}
`

// wireMany are the addresses of another instance: with so many of them, each is on
// the interface for some time before it is announced.
func wireMany() []netip.Addr {
	var addrs []netip.Addr
	for i := range byte(100) {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 224, 147, 1 + i}))
	}
	return addrs
}

// wireTakeover lists what moves in TestWireTakeover.
func wireTakeover() map[uint8][]netip.Addr {
	return map[uint8][]netip.Addr{
		51: {lab.VIP, netip.MustParseAddr("10.224.147.209")},
		52: {lab.VIP6, netip.MustParseAddr("fe80::200:5eff:fe00:234")},
		53: {netip.MustParseAddr("10.224.147.210")},
		54: {netip.MustParseAddr("fd00:147::210"), netip.MustParseAddr("fe80::200:5eff:fe00:236")},
	}
}

// TestWireTakeover watches a pair with real haproxies hand over. The numbers are
// those of CONFORMANCE.
func TestWireTakeover(t *testing.T) {
	t.Parallel()
	many := fmt.Sprintf("  - {name: MANY, vrid: 55, priority: PRIORITY, advert_interval: 100ms, vips: [%s]}\n",
		strings.Trim(fmt.Sprintf("%q", wireMany()), "[]"))
	w := newWirePair(t, true, wireTakeoverKinds+strings.ReplaceAll(many, `" "`, `", "`))

	t.Run("35 accept", w.testAccept)
	t.Run("rival gratuitous ARP is answered", func(t *testing.T) {
		mac := capture.MACOf(w.client.MAC)
		w.testRival(t, "V4", "arp", lab.VIP, capture.ARP{
			Operation: 1, SenderMAC: mac, SenderIP: lab.VIP, TargetIP: lab.VIP,
		}.Frame(capture.Broadcast(), mac))
	})
	t.Run("rival unsolicited NA is answered", func(t *testing.T) {
		mac := capture.MACOf(w.client.MAC)
		w.testRival(t, "V6", "na", lab.VIP6, capture.Neighbour{
			IP:   capture.IP{Src: wireLinkLocal(w.client), Dst: wireNodes6},
			Type: capture.NeighbourAdvertisement, Override: true, Target: lab.VIP6, LinkLayer: mac,
		}.Frame(capture.GroupMAC(wireNodes6), mac))
	})

	start := wireClock()
	w.stop(t, w.a)
	w.settle(t, w.b)
	t.Run("10 priority 0 on SIGTERM", func(t *testing.T) { w.testResigned(t, start) })
	t.Run("11 and 12 advert then announcement on taking over", func(t *testing.T) {
		w.testBecameActive(t, w.b, start, capture.MACOf(w.b.MAC))
	})

	start = wireClock()
	w.start(t, w.a)
	w.settle(t, w.a, w.b)
	t.Run("11 and 12 advert then announcement on preempting", func(t *testing.T) {
		w.testBecameActive(t, w.a, start, capture.MACOf(w.a.MAC))
	})

	start = wireClock()
	if err := w.a.KillHAProxy(); err != nil {
		t.Fatal(err)
	}
	w.settle(t, w.b, w.a)
	t.Run("10 priority 0 on haproxy's death", func(t *testing.T) { w.testResigned(t, start) })
	if err := w.a.StartHAProxy(wireContext(t)); err != nil {
		t.Fatal(err)
	}
	w.settle(t, w.a, w.b)

	t.Run("13 no announcement before the address is in place", w.testAddressFirst)
}

// testResigned finds the last word of the host that was Active, and that it was
// Active before its successor came.
func (w *wirePair) testResigned(t *testing.T, start time.Time) {
	for vrid := range wireTakeover() {
		f := w.await(t, w.tap, start, fmt.Sprintf("priority 0 for virtual router %d", vrid), func(f capture.Frame) bool {
			a, _, ok := f.VRRP()
			return ok && wireAdvertOf(w.a, vrid)(f) && a.Priority == 0
		})
		successor := w.await(t, w.tap, start, "the successor's advert", wireAdvertOf(w.b, vrid))
		if !f.Time.Before(successor.Time) {
			t.Errorf("virtual router %d: priority 0 at %s, its successor at %s", vrid, f.Time, successor.Time)
		}
		a, ip, _ := f.VRRP()
		if capture.PseudoSum(ip) != 0 || ip.TTL != 255 || int(a.Count) != len(wireTakeover()[vrid]) {
			t.Errorf("virtual router %d: malformed farewell %+v in %+v", vrid, a, ip)
		}
	}
}

// testBecameActive checks what the host put on the wire on becoming Active after
// that moment: for each virtual router an advert first, then each address announced.
func (w *wirePair) testBecameActive(t *testing.T, h *lab.Host, start time.Time, mac capture.MAC) {
	for vrid, vips := range wireTakeover() {
		advert := w.await(t, w.tap, start, fmt.Sprintf("an advert of virtual router %d", vrid), wireAdvertOf(h, vrid))
		if a, _, _ := advert.VRRP(); a.Priority == 0 {
			t.Errorf("virtual router %d: the first advert has priority 0", vrid)
		}
		for _, vip := range vips {
			f := w.await(t, w.tap, start, "an announcement of "+vip.String(), func(f capture.Frame) bool {
				return f.Src() == mac && wireAnnouncementOf(vip)(f)
			})
			if f.Time.Before(advert.Time) {
				t.Errorf("%s was announced %s before the advert", vip, advert.Time.Sub(f.Time))
			}
			wireCheckAnnouncement(t, f, h, vip, mac)
		}
	}
}

func wireCheckAnnouncement(t *testing.T, f capture.Frame, h *lab.Host, vip netip.Addr, mac capture.MAC) {
	t.Helper()
	if p, ok := f.ARP(); ok {
		if f.Dst() != capture.Broadcast() || p.Operation != 1 || p.SenderMAC != mac || p.SenderIP != vip || p.TargetIP != vip {
			t.Errorf("gratuitous ARP to %s: %+v", f.Dst(), p)
		}
		return
	}
	n, ok := f.Neighbour()
	if !ok {
		t.Errorf("neither ARP nor NA: % x", f.Data)
		return
	}
	if f.Dst() != capture.GroupMAC(wireNodes6) || n.Dst != wireNodes6 || n.Src != wireLinkLocal(h) || n.TTL != 255 || !n.ChecksumOK {
		t.Errorf("neighbour advertisement to %s: from %s to %s, hop limit %d, checksum ok %v", f.Dst(), n.Src, n.Dst, n.TTL, n.ChecksumOK)
	}
	if !n.Router || n.Solicited || !n.Override || n.LinkLayer != mac {
		t.Errorf("R=%v S=%v O=%v, target at %s; want R=1 S=0 O=1 at %s", n.Router, n.Solicited, n.Override, n.LinkLayer, mac)
	}
}

// testAddressFirst lets the backup take over until the order is proved for each of
// many addresses.
//
// A notification of the new address can be read before the kernel's stamp on the
// announcement only if the address was there first. The reader may also be late,
// which proves nothing: then there is another round. In every round, whoever reacts
// to an announcement finds the address in place.
func (w *wirePair) testAddressFirst(t *testing.T) {
	watch, err := capture.WatchAddresses(w.b)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := watch.Close(); err != nil {
			t.Error(err)
		}
	}()
	unproved := wireMany()
	const rounds = 20
	for round := 1; round <= rounds && len(unproved) > 0; round++ {
		start := wireClock()
		if err := w.fast.Drain(wireContext(t), w.a); err != nil {
			t.Fatal(err)
		}
		for _, vips := range wireTakeover() {
			for _, vip := range vips {
				w.await(t, w.tap, start, "an announcement of "+vip.String(), wireBy(w.b, wireAnnouncementOf(vip)))
				// A link-local address is reached over a route of its own, which the
				// kernel leaves to a work queue; the others by lo's until then.
				if !vip.IsLinkLocalUnicast() {
					w.answer(t, w.b, vip)
				}
			}
		}
		var late []netip.Addr
		least := time.Hour
		for _, vip := range unproved {
			f := w.await(t, w.far, start, "an announcement of "+vip.String(), wireBy(w.b, wireAnnouncementOf(vip)))
			at, appeared := watch.Appeared(vip, start)
			if !appeared || at.After(f.Time) {
				late = append(late, vip)
				continue
			}
			least = min(least, f.Time.Sub(at))
		}
		if len(late) < len(unproved) {
			t.Logf("round %d: %d of %d addresses were on the interface at least %s before their announcements",
				round, len(unproved)-len(late), len(unproved), least)
		}
		unproved = late
		if err := w.fast.Ready(wireContext(t), w.a); err != nil {
			t.Fatal(err)
		}
		w.settle(t, w.a, w.b)
	}
	if len(unproved) > 0 {
		t.Errorf("in none of %d rounds were they seen on the interface before their announcements: %v", rounds, unproved)
	}
}

// testRival has the client claim a VIP.
func (w *wirePair) testRival(t *testing.T, instance, kind string, vip netip.Addr, claim []byte) {
	series := fmt.Sprintf("hafast_rival_claims_total{instance=%q,kind=%q}", instance, kind)
	before := w.metrics(t, w.a)[series]
	start := wireClock()
	if err := w.tap.Send(claim); err != nil {
		t.Fatal(err)
	}
	f := w.await(t, w.tap, start, "a re-announcement of "+vip.String(), wireBy(w.a, wireAnnouncementOf(vip)))
	wireCheckAnnouncement(t, f, w.a, vip, capture.MACOf(w.a.MAC))
	if got := w.metrics(t, w.a)[series]; got != before+1 {
		t.Errorf("%s is %v, was %v", series, got, before)
	}
	wireEventually(t, "an event that tells of the rival", func() bool {
		for _, e := range w.events(t, w.a) {
			if e.Kind == "rival" && e.Instance == instance && strings.Contains(e.Cause, w.client.MAC.String()) && strings.Contains(e.Cause, vip.String()) {
				return true
			}
		}
		return false
	})
	for series, value := range w.metrics(t, w.b) {
		if strings.HasPrefix(series, "hafast_rival_claims_total") && strings.Contains(series, `kind="`+kind+`"`) && value != 0 {
			t.Errorf("the backup takes the claim for its own matter: %s %v", series, value)
		}
	}
}

func (w *wirePair) testAccept(t *testing.T) {
	deaf := []netip.Addr{wireTakeover()[53][0], wireTakeover()[54][0]}
	t.Run("35 default serves haproxy", func(t *testing.T) {
		for _, vip := range []netip.Addr{lab.VIP, lab.VIP6} {
			if err := w.serves(wireContext(t), vip); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("35 false drops traffic", func(t *testing.T) {
		for _, vip := range deaf {
			start := wireClock()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := w.serves(ctx, vip)
			cancel()
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %v, want silence", vip, err)
			}
			arrived := 0
			for _, f := range w.near.Since(start) {
				ip, ok := f.IP()
				switch {
				case !ok || ip.Protocol != unix.IPPROTO_TCP:
				case ip.Dst == vip && !f.Outgoing:
					arrived++
				case ip.Src == vip:
					t.Errorf("%s says something: % x", vip, f.Data)
				}
			}
			if arrived == 0 {
				t.Errorf("nothing arrived for %s: the client could not even ask", vip)
			}
		}
	})
	t.Run("35 false never drops ARP or NS", func(t *testing.T) {
		for _, vip := range deaf {
			w.onlyResponder(t, vip, capture.MACOf(w.a.MAC))
			w.answer(t, w.a, vip)
		}
	})
	// A datagram from the VIP leaves once the neighbour's advertisement, which is
	// addressed to the VIP, has come through.
	t.Run("35 false never drops NA", func(t *testing.T) {
		if err := w.a.FlushNeighbours(); err != nil {
			t.Fatal(err)
		}
		start, vip := wireClock(), deaf[1]
		to := netip.AddrPortFrom(w.client.Addr6, 9)
		if err := w.a.Do(func() error {
			conn, err := net.DialUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, 0)), net.UDPAddrFromAddrPort(to))
			if err != nil {
				return err
			}
			_, err = conn.Write([]byte("hello"))
			return errors.Join(err, conn.Close())
		}); err != nil {
			t.Fatal(err)
		}
		asked := w.await(t, w.tap, start, "a solicitation from "+vip.String(), func(f capture.Frame) bool {
			n, ok := f.Neighbour()
			return ok && n.Type == capture.NeighbourSolicitation && n.Src == vip && n.Target == to.Addr()
		})
		sent := w.await(t, w.tap, start, "the datagram", func(f capture.Frame) bool {
			ip, ok := f.IP()
			return ok && ip.Protocol == unix.IPPROTO_UDP && ip.Src == vip
		})
		if sent.Time.Before(asked.Time) {
			t.Error("the datagram did not wait for the advertisement")
		}
	})
}
