// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/pkg/vrrp"
)

// The tests of the rfc9568 files follow CONFORMANCE.md, VRRP, which follows RFC
// 9568: sending here, receiving, and the state machine. Each carries its case's
// number. Cases 25 and 38 are in property_test.go, 37 in interaction_test.go, and
// those about packets on a wire are with the sockets.

func TestSending(t *testing.T) {
	src6 := netip.MustParseAddr("fe80::5")

	t.Run("5 v3 reserved bits 0, interval in 12 bits of centiseconds", func(t *testing.T) {
		for interval, hex := range map[time.Duration]uint16{
			10 * time.Millisecond: 0x001, second: 0x064, 40950 * time.Millisecond: 0xfff,
		} {
			b := newRig(t, func(p *vrrp.Params) { p.Interval = interval })
			msg := b.packet(ours, 100, nil).Payload
			if got := binary.BigEndian.Uint16(msg[4:]); got != hex {
				t.Errorf("bytes 4 and 5 for %s are %#04x, want %#04x", interval, got, hex)
			}
		}
	})
	t.Run("5 v2 interval in 8 bits of seconds", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Version, p.Interval = 2, 255*second })
		if got := b.packet(ours, 100, nil).Payload[4:6]; !slices.Equal(got, []byte{0, 255}) {
			t.Errorf("bytes 4 and 5 are %v, want authentication type 0 and 255 s", got)
		}
	})

	advert := func(version uint8, addrs ...netip.Addr) vrrp.Advert {
		return vrrp.Advert{Version: version, VRID: 7, Priority: 100, Interval: second, Addresses: addrs}
	}
	encode := func(t *testing.T, a vrrp.Advert, src, dst netip.Addr, sum vrrp.Checksum) []byte {
		t.Helper()
		b, err := a.AppendBinary(nil, src, dst, sum)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pseudo4 := slices.Concat(ours.AsSlice(), vrrp.Group4().AsSlice(), []byte{0, 112, 0, 12})
	pseudo6 := slices.Concat(src6.AsSlice(), vrrp.Group6().AsSlice(), []byte{0, 0, 0, 24, 0, 0, 0, 112})
	for _, tc := range []struct {
		name     string
		advert   vrrp.Advert
		src, dst netip.Addr
		sum      vrrp.Checksum
		covered  []byte // before the message
	}{
		{"6 IPv6 checksum with pseudo-header", advert(3, netip.MustParseAddr("fe80::100")), src6, vrrp.Group6(), vrrp.ChecksumLegacy, pseudo6},
		{"6 IPv6 checksum whatever is chosen for IPv4", advert(3, netip.MustParseAddr("fe80::100")), src6, vrrp.Group6(), vrrp.ChecksumRFC9568, pseudo6},
		{"6 IPv4 v3 checksum with pseudo-header by default", advert(3, vip), ours, vrrp.Group4(), vrrp.ChecksumLegacy, pseudo4},
		{"6 IPv4 v3 checksum without, as RFC 9568 has it", advert(3, vip), ours, vrrp.Group4(), vrrp.ChecksumRFC9568, nil},
		{"6 v2 checksum without pseudo-header", advert(2, vip), ours, vrrp.Group4(), vrrp.ChecksumLegacy, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg := encode(t, tc.advert, tc.src, tc.dst, tc.sum)
			if got := onesComplement(slices.Concat(tc.covered, msg)); got != 0 {
				t.Errorf("sum over all that is covered is %#04x, want 0", got)
			}
			if _, err := vrrp.Parse(vrrp.Packet{Src: tc.src, Dst: tc.dst, TTL: 255, Payload: msg}); err != nil {
				t.Errorf("not accepted: %v", err)
			}
		})
	}
	t.Run("7 IPv6 first address is the link-local", func(t *testing.T) {
		a := advert(3, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::100"))
		if _, err := a.AppendBinary(nil, src6, vrrp.Group6(), 0); err == nil {
			t.Error("a global address was encoded as the first")
		}
		msg := encode(t, advert(3, netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::1")), src6, vrrp.Group6(), 0)
		if got := netip.AddrFrom16([16]byte(msg[8:24])); got.String() != "fe80::100" {
			t.Errorf("first address on the wire is %s", got)
		}
	})
	t.Run("8 all addresses of one family", func(t *testing.T) {
		mixed := advert(3, vip, netip.MustParseAddr("2001:db8::1"))
		if _, err := mixed.AppendBinary(nil, ours, vrrp.Group4(), 0); err == nil {
			t.Error("an IPv6 address was encoded into an IPv4 advert")
		}
		mixed = advert(3, netip.MustParseAddr("fe80::1"), vip)
		if _, err := mixed.AppendBinary(nil, src6, vrrp.Group6(), 0); err == nil {
			t.Error("an IPv4 address was encoded into an IPv6 advert")
		}
	})
	t.Run("10 leaving Active on purpose sends priority 0", func(t *testing.T) {
		b := newRig(t, nil)
		b.becomeActive()
		want(t, b.step(vrrp.Stop{}), vrrp.Send{Priority: 0})
		want(t, b.hear(lower, 50),
			vrrp.Changed{From: vrrp.Active, To: vrrp.Init, Cause: vrrp.CauseShutdown, Peer: lower}, vrrp.Release{})

		b = newRig(t, nil)
		b.becomeActive()
		want(t, b.step(vrrp.SetFault{Reason: "link"}),
			vrrp.Changed{From: vrrp.Active, To: vrrp.Fault, Cause: vrrp.CauseFault}, vrrp.Send{Priority: 0}, vrrp.Release{})
	})
	t.Run("10 a Backup that stops says nothing", func(t *testing.T) {
		want(t, newRig(t, nil).step(vrrp.Stop{}), vrrp.Changed{From: vrrp.Backup, To: vrrp.Init, Cause: vrrp.CauseShutdown})
	})
	t.Run("11 becoming Active sends an advert, then announces", func(t *testing.T) {
		want(t, newRig(t, nil).fire(),
			vrrp.Changed{From: vrrp.Backup, To: vrrp.Active, Cause: vrrp.CauseTimeout}, vrrp.Send{Priority: 100}, vrrp.Acquire{})
	})
}
