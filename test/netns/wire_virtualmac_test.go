// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"net/netip"
	"testing"
	"time"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

const wireVirtualMACKinds = `
  - {name: M4, vrid: 61, priority: PRIORITY, advert_interval: 100ms, virtual_mac: true, vips: [10.224.147.208]}
  - {name: M6, vrid: 62, priority: PRIORITY, advert_interval: 100ms, virtual_mac: true, vips: ["fd00:147::208"]}
`

// TestWireVirtualMAC proves case 3 of CONFORMANCE with a client that talks to the
// VIP as any neighbour does.
func TestWireVirtualMAC(t *testing.T) {
	t.Parallel()
	w := newWirePair(t, true, wireVirtualMACKinds)
	routers := []struct {
		vrid   uint8
		vip    netip.Addr
		mac    capture.MAC
		device string
	}{
		{61, lab.VIP, capture.MAC{0x00, 0x00, 0x5e, 0x00, 0x01, 61}, "vrrp4.61"},
		{62, lab.VIP6, capture.MAC{0x00, 0x00, 0x5e, 0x00, 0x02, 62}, "vrrp6.62"},
	}
	serving := func(t *testing.T) {
		for _, r := range routers {
			w.onlyResponder(t, r.vip, r.mac)
			if err := w.serves(wireContext(t), r.vip); err != nil {
				t.Error(err)
			}
		}
	}
	fromVirtualMAC := func(f capture.Frame) bool { return f.Src() == routers[0].mac || f.Src() == routers[1].mac }

	start := wireClock()
	t.Run("3 adverts come from the virtual MAC", func(t *testing.T) {
		for _, r := range routers {
			f := w.await(t, w.tap, start, "an advert", wireAdvertOf(w.a, r.vrid))
			group := wireGroup4
			if r.vip.Is6() {
				group = wireGroup6
			}
			_, ip, _ := f.VRRP()
			if f.Src() != r.mac || f.Dst() != capture.GroupMAC(group) || ip.Dst != group || ip.TTL != 255 || capture.PseudoSum(ip) != 0 {
				t.Errorf("from %s to %s: %+v", f.Src(), f.Dst(), ip)
			}
		}
	})
	t.Run("3 the VIP answers and serves at the virtual MAC", serving)
	t.Run("3 answers come from the virtual MAC", func(t *testing.T) {
		for _, r := range routers {
			start := wireClock()
			if err := w.tap.Send(w.question(r.vip, capture.Broadcast())); err != nil {
				t.Fatal(err)
			}
			f := w.await(t, w.tap, start, "an answer for "+r.vip.String(), wireAnswerFor(r.vip))
			p, _ := f.ARP()
			n, _ := f.Neighbour()
			if f.Src() != r.mac || (p.SenderMAC != r.mac && n.LinkLayer != r.mac) {
				t.Errorf("%s: from %s, ARP %+v, NA %+v", r.vip, f.Src(), p, n)
			}
		}
	})
	t.Run("3 the backup's virtual MAC is silent", func(t *testing.T) {
		// From its start on: one frame would lead the switch astray.
		for _, f := range w.far.Since(time.Time{}) {
			if f.Outgoing && fromVirtualMAC(f) {
				t.Errorf("the backup sends from %s: % x", f.Src(), f.Data)
			}
		}
	})

	start = wireClock()
	w.stop(t, w.a)
	w.settle(t, w.b)
	t.Run("3 nothing is left of the devices after a stop", func(t *testing.T) {
		for _, r := range routers {
			if _, err := w.a.Run(wireContext(t), "ip", "link", "show", "dev", r.device); err == nil {
				t.Errorf("%s is still there", r.device)
			}
			if _, err := w.b.Run(wireContext(t), "ip", "link", "show", "dev", r.device); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("3 the successor announces the virtual MAC", func(t *testing.T) {
		for _, r := range routers {
			f := w.await(t, w.tap, start, "an announcement of "+r.vip.String(), wireAnnouncementOf(r.vip))
			wireCheckAnnouncement(t, f, w.b, r.vip, r.mac)
			if f.Src() != r.mac {
				t.Errorf("%s is announced by %s", r.vip, f.Src())
			}
		}
	})
	t.Run("3 the successor serves at the virtual MAC", serving)
}
