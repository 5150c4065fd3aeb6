// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// The virtual routers of TestWireAdverts: one of each kind, side by side on eth0.
const (
	wireV3, wireRFC, wireV2, wireV6, wireV6Own, wireUni4, wireUni6 = 51, 52, 53, 54, 55, 56, 57
)

const wireCadence = 50 * time.Millisecond

const wireKinds = `
  - {name: V3, vrid: 51, priority: PRIORITY, advert_interval: 50ms, vips: [10.224.147.208, 10.224.147.209]}
  - {name: RFC, vrid: 52, priority: PRIORITY, advert_interval: 50ms, checksum: rfc9568, vips: [10.224.147.210]}
  - {name: V2, vrid: 53, priority: PRIORITY, version: 2, vips: [10.224.147.211]}
  - {name: V6, vrid: 54, priority: PRIORITY, advert_interval: 50ms, vips: ["fd00:147::208"]}
  - {name: V6OWN, vrid: 55, priority: PRIORITY, advert_interval: 50ms, vips: ["fd00:147::209", "fe80::55"]}
  - {name: UNI4, vrid: 56, priority: PRIORITY, advert_interval: 50ms, unicast: true, vips: [10.224.147.212]}
  - {name: UNI6, vrid: 57, priority: PRIORITY, advert_interval: 50ms, unicast: true, vips: ["fd00:147::210"], peers: [PEER6]}
`

// wireVIPs are the addresses of wireKinds by virtual router, in the order in which
// an advert is to list them.
func wireVIPs() map[uint8][]netip.Addr {
	addrs := func(texts ...string) (out []netip.Addr) {
		for _, s := range texts {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	return map[uint8][]netip.Addr{
		wireV3:  addrs("10.224.147.208", "10.224.147.209"),
		wireRFC: addrs("10.224.147.210"),
		wireV2:  addrs("10.224.147.211"),
		// Nobody configured this link-local address: it is derived from the VRID.
		wireV6:    addrs("fe80::200:5eff:fe00:236", "fd00:147::208"),
		wireV6Own: addrs("fe80::55", "fd00:147::209"),
		wireUni4:  addrs("10.224.147.212"),
		wireUni6:  addrs("fe80::200:5eff:fe00:239", "fd00:147::210"),
	}
}

// TestWireAdverts looks at adverts of every kind as they pass the network, and then
// sends broken ones. The numbers are those of CONFORMANCE.
func TestWireAdverts(t *testing.T) {
	t.Parallel()
	w := newWirePair(t, false, wireKinds)
	start := wireClock()
	type sample struct {
		capture.Frame
		advert capture.Advert
		ip     capture.IP
	}
	samples := make(map[uint8]sample)
	for vrid := range wireVIPs() {
		// At the receiver, where unicast adverts pass too.
		f := w.await(t, w.far, start, fmt.Sprintf("an advert of virtual router %d", vrid), wireAdvertOf(w.a, vrid))
		a, ip, _ := f.VRRP()
		samples[vrid] = sample{f, a, ip}
	}

	t.Run("36 versions and families side by side", func(t *testing.T) {
		for vrid, s := range samples {
			want := uint8(3)
			if vrid == wireV2 {
				want = 2
			}
			if s.advert.Version != want || s.advert.Type != 1 || s.advert.Priority != 101 {
				t.Errorf("virtual router %d: version %d type %d priority %d, want %d 1 101", vrid, s.advert.Version, s.advert.Type, s.advert.Priority, want)
			}
		}
		for _, f := range w.far.Since(start) {
			if a, ip, ok := f.VRRP(); ok && f.Outgoing {
				t.Errorf("the backup sends an advert of virtual router %d to %s", a.VRID, ip.Dst)
			}
		}
	})

	t.Run("1 protocol 112 to the group or to the peer", func(t *testing.T) {
		for vrid, s := range samples {
			want, mac := wireGroup4, capture.GroupMAC(wireGroup4)
			switch vrid {
			case wireV6, wireV6Own:
				want, mac = wireGroup6, capture.GroupMAC(wireGroup6)
			case wireUni4:
				want, mac = w.b.Addr, capture.MACOf(w.b.MAC)
			case wireUni6:
				want, mac = wireLinkLocal(w.b), capture.MACOf(w.b.MAC)
			}
			if s.ip.Protocol != 112 || s.ip.Dst != want || s.Dst() != mac {
				t.Errorf("virtual router %d: protocol %d to %s at %s, want 112 to %s at %s", vrid, s.ip.Protocol, s.ip.Dst, s.Dst(), want, mac)
			}
		}
	})

	t.Run("2 TTL and hop limit 255", func(t *testing.T) {
		for vrid, s := range samples {
			if s.ip.TTL != 255 {
				t.Errorf("virtual router %d: %d", vrid, s.ip.TTL)
			}
		}
	})

	t.Run("4 source is the interface's own address", func(t *testing.T) {
		for vrid, s := range samples {
			want := w.a.Addr
			if s.ip.Dst.Is6() {
				want = wireLinkLocal(w.a)
			}
			if s.ip.Src != want || s.Src() != capture.MACOf(w.a.MAC) {
				t.Errorf("virtual router %d: %s at %s, want %s at %s", vrid, s.ip.Src, s.Src(), want, w.a.MAC)
			}
		}
	})

	t.Run("5 reserved bits and the interval", func(t *testing.T) {
		for vrid, s := range samples {
			a := s.advert
			switch {
			case vrid == wireV2 && (a.Seconds() != 1 || a.AuthType() != 0 || !bytes.Equal(a.Rest, make([]byte, 8))):
				t.Errorf("version 2: interval %d s, authentication type %d, data % x", a.Seconds(), a.AuthType(), a.Rest)
			case vrid != wireV2 && (a.Reserved() != 0 || a.Centiseconds() != 5 || len(a.Rest) != 0):
				t.Errorf("virtual router %d: reserved %x, interval %d cs, %d bytes left over", vrid, a.Reserved(), a.Centiseconds(), len(a.Rest))
			}
		}
	})

	t.Run("6 checksums", func(t *testing.T) {
		for vrid, s := range samples {
			pseudo := vrid != wireV2 && vrid != wireRFC
			sum := capture.PlainSum
			if pseudo {
				sum = capture.PseudoSum
			}
			if left := sum(s.ip); left != 0 {
				t.Errorf("virtual router %d: checksum %#04x is wrong with pseudo-header %v", vrid, s.advert.Checksum, pseudo)
			}
		}
	})

	t.Run("7 IPv6 first address link-local", func(t *testing.T) {
		for _, vrid := range []uint8{wireV6, wireV6Own, wireUni6} {
			if first := samples[vrid].advert.Addresses[0]; !first.IsLinkLocalUnicast() || first != wireVIPs()[vrid][0] {
				t.Errorf("virtual router %d: %s, want %s", vrid, first, wireVIPs()[vrid][0])
			}
			if vip := wireVIPs()[vrid][0]; !w.a.HasAddr(vip) {
				t.Errorf("virtual router %d: %s is advertised but not on the interface", vrid, vip)
			}
		}
	})

	t.Run("8 all addresses and of one family", func(t *testing.T) {
		for vrid, s := range samples {
			if want := wireVIPs()[vrid]; int(s.advert.Count) != len(want) || !slices.Equal(s.advert.Addresses, want) {
				t.Errorf("virtual router %d: count %d, %v, want %v", vrid, s.advert.Count, s.advert.Addresses, want)
			}
		}
	})

	t.Run("33 backup silent to ARP and NS", func(t *testing.T) {
		for _, vips := range wireVIPs() {
			for _, vip := range vips {
				if !w.b.HasAddrOn("lo", vip) || w.b.HasAddr(vip) {
					t.Errorf("the backup must carry %s on lo and there alone", vip)
				}
				w.silent(t, w.b, vip)
			}
		}
	})

	t.Run("34 active answers ARP and NS", func(t *testing.T) {
		for _, vips := range wireVIPs() {
			for _, vip := range vips {
				w.answer(t, w.a, vip)
			}
		}
		w.onlyResponder(t, lab.VIP, capture.MACOf(w.a.MAC))
		w.onlyResponder(t, lab.VIP6, capture.MACOf(w.a.MAC))
	})

	// The kernel answers solicitations, and it sets R by whether the interface
	// forwards (RFC 4861 section 6.2.2 IsRouter): a host that only runs haproxy is no
	// router and says so, though RFC 9568 section 6.4.3 takes every virtual router
	// for one. A virtual router that forwards gets it right.
	t.Run("34 R of a solicited NA tells whether the host forwards", func(t *testing.T) {
		for _, forwarding := range []string{"1", "0"} {
			if err := w.a.SetSysctl("net.ipv6.conf."+lab.Interface+".forwarding", forwarding); err != nil {
				t.Fatal(err)
			}
			start := wireClock()
			if err := w.tap.Send(w.question(lab.VIP6, capture.Broadcast())); err != nil {
				t.Fatal(err)
			}
			n, ok := w.await(t, w.tap, start, "an answer for "+lab.VIP6.String(), wireAnswerFor(lab.VIP6)).Neighbour()
			if !ok || n.Router != (forwarding == "1") || !n.Override || n.LinkLayer != capture.MACOf(w.a.MAC) || !n.ChecksumOK {
				t.Errorf("forwarding %s: %+v", forwarding, n)
			}
		}
	})

	t.Run("9 cadence over 100 adverts", func(t *testing.T) {
		var times []time.Time
		w.await(t, w.tap, start, "101 adverts", func(f capture.Frame) bool {
			if wireAdvertOf(w.a, wireV3)(f) {
				times = append(times, f.Time)
			}
			return len(times) == 101
		})
		var gaps []time.Duration
		for i, at := range times[1:] {
			gaps = append(gaps, at.Sub(times[i]))
		}
		mean, jitter, worst := wireCadenceOf(gaps)
		t.Logf("interval %s: mean %s, jitter median %s, max %s", wireCadence, mean, jitter, worst)
		if off := (mean - wireCadence).Abs(); off > wireCadence/100 {
			t.Errorf("mean %s is off by %s", mean, off)
		}
	})

	w.testRejects(t)
}

// wireCadenceOf returns the mean of the intervals, and by how much they are off at
// the median and at most. The five longest and shortest stay out of the mean: a
// machine that stands still for a moment makes one long interval and a short one.
func wireCadenceOf(gaps []time.Duration) (mean, jitter, worst time.Duration) {
	const outliers = 5
	slices.Sort(gaps)
	middle := gaps[outliers : len(gaps)-outliers]
	for _, g := range middle {
		mean += g
	}
	var off []time.Duration
	for _, g := range gaps {
		off = append(off, (g - wireCadence).Abs())
	}
	slices.Sort(off)
	return mean / time.Duration(len(middle)), off[len(off)/2], off[len(off)-1]
}
