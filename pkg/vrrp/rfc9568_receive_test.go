// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/pkg/vrrp"
)

func TestReceivingRejects(t *testing.T) {
	other6 := netip.MustParseAddr("fe80::9")
	for _, tc := range []struct {
		name   string
		params func(*vrrp.Params)
		from   netip.Addr
		change func(*vrrp.Packet)
		summed bool // the change leaves the checksum right
		want   vrrp.Reject
	}{
		{name: "14 TTL 254", change: func(p *vrrp.Packet) { p.TTL = 254 }, want: vrrp.RejectTTL},
		{name: "14 hop limit 254", params: v6, from: other6, change: func(p *vrrp.Packet) { p.TTL = 254 }, want: vrrp.RejectTTL},
		{name: "15 version 4", change: func(p *vrrp.Packet) { p.Payload[0] = 0x41 }, summed: true, want: vrrp.RejectVersion},
		{name: "15 version 2 for an instance of version 3", change: func(p *vrrp.Packet) {
			p.Payload = append([]byte{0x21, 51, 200, 1, 0, 1, 0, 0}, append(vip.AsSlice(), make([]byte, 8)...)...)
		}, summed: true, want: vrrp.RejectVersion},
		{name: "15 version 3 for an instance of version 2", params: v2, change: func(p *vrrp.Packet) {
			p.Payload[0], p.Payload[4], p.Payload[5] = 0x31, 0, 100
		}, summed: true, want: vrrp.RejectVersion},
		{name: "15 version 2 over IPv6", params: v6, from: other6, change: func(p *vrrp.Packet) { p.Payload[0] = 0x21 }, summed: true, want: vrrp.RejectVersion},
		{name: "15 type 2", change: func(p *vrrp.Packet) { p.Payload[0] = 0x32 }, summed: true, want: vrrp.RejectType},
		{name: "16 no complete header", change: func(p *vrrp.Packet) { p.Payload = p.Payload[:7] }, want: vrrp.RejectTruncated},
		{name: "16 empty", change: func(p *vrrp.Packet) { p.Payload = nil }, want: vrrp.RejectTruncated},
		{name: "16 truncated address list", change: func(p *vrrp.Packet) { p.Payload = p.Payload[:11] }, summed: true, want: vrrp.RejectTruncated},
		{name: "16 more addresses counted than sent", change: func(p *vrrp.Packet) { p.Payload[3] = 2 }, summed: true, want: vrrp.RejectTruncated},
		{name: "16 truncated IPv6 address list", params: v6, from: other6, change: func(p *vrrp.Packet) { p.Payload = p.Payload[:39] }, summed: true, want: vrrp.RejectTruncated},
		{name: "16 v2 without authentication data", params: v2, change: func(p *vrrp.Packet) { p.Payload = p.Payload[:12] }, summed: true, want: vrrp.RejectTruncated},
		{name: "17 bad checksum", change: func(p *vrrp.Packet) { p.Payload[7]++ }, want: vrrp.RejectChecksum},
		{name: "17 bad checksum over IPv6", params: v6, from: other6, change: func(p *vrrp.Packet) { p.Payload[2]++ }, want: vrrp.RejectChecksum},
		{name: "17 IPv6 checksum for another source", params: v6, from: other6, change: func(p *vrrp.Packet) { p.Src = p.Src.Next() }, want: vrrp.RejectChecksum},
		{name: "17 v2 checksum with pseudo-header", params: v2, change: func(p *vrrp.Packet) {
			p.Payload[6], p.Payload[7] = 0, 0
			pseudo := slices.Concat(p.Src.AsSlice(), p.Dst.AsSlice(), []byte{0, 112, 0, byte(len(p.Payload))})
			binary.BigEndian.PutUint16(p.Payload[6:], onesComplement(slices.Concat(pseudo, p.Payload)))
		}, want: vrrp.RejectChecksum},
		{name: "18 unknown VRID", change: func(p *vrrp.Packet) { p.Payload[1] = 52 }, summed: true, want: vrrp.RejectUnknownVRID},
		{name: "19 count 0", change: func(p *vrrp.Packet) { p.Payload = p.Payload[:8]; p.Payload[3] = 0 }, summed: true, want: vrrp.RejectCount},
		{name: "20 interval 0", change: func(p *vrrp.Packet) { p.Payload[4], p.Payload[5] = 0, 0 }, summed: true, want: vrrp.RejectInterval},
		{name: "20 interval 0 beside reserved bits", change: func(p *vrrp.Packet) { p.Payload[4], p.Payload[5] = 0xf0, 0 }, summed: true, want: vrrp.RejectInterval},
		{name: "20 v2 interval 0", params: v2, change: func(p *vrrp.Packet) { p.Payload[5] = 0 }, summed: true, want: vrrp.RejectInterval},
		{name: "21 IPv6 first address not link-local", params: v6, from: other6, change: func(p *vrrp.Packet) {
			copy(p.Payload[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
		}, summed: true, want: vrrp.RejectFirstAddress},
		{name: "23 v2 interval mismatch", params: v2, change: func(p *vrrp.Packet) { p.Payload[5] = 2 }, summed: true, want: vrrp.RejectInterval},
		{name: "v2 password unlike ours", params: func(p *vrrp.Params) { p.Version, p.Password = 2, "s3cret" }, change: func(p *vrrp.Packet) {
			p.Payload[12] = 'S'
		}, summed: true, want: vrrp.RejectAuth},
		{name: "v2 password where none is asked for", params: v2, change: func(p *vrrp.Packet) {
			p.Payload[4], p.Payload[12] = 1, 'x'
		}, summed: true, want: vrrp.RejectAuth},
		{name: "v2 authentication header (type 2)", params: v2, change: func(p *vrrp.Packet) { p.Payload[4] = 2 }, summed: true, want: vrrp.RejectAuth},
		{name: "our own source address", from: ours, change: func(*vrrp.Packet) {}, summed: true, want: vrrp.RejectOwn},
	} {
		for _, state := range []vrrp.State{vrrp.Backup, vrrp.Active} {
			t.Run(tc.name+"/"+state.String(), func(t *testing.T) {
				b := newRig(t, tc.params)
				if state == vrrp.Active {
					b.becomeActive()
				}
				b.now = b.now.Add(100 * time.Millisecond)
				from := tc.from
				if !from.IsValid() {
					from = higher
				}
				// A priority that would move any timer, were the packet used.
				p := b.packet(from, 200, nil)
				tc.change(&p)
				if tc.summed {
					resum(p)
				}
				before := b.in()
				_, out, err := b.router.Receive(b.now, "eth0", p)
				if !errors.Is(err, tc.want) {
					t.Errorf("error is %v, want %v", err, tc.want)
				}
				if len(out) > 0 {
					t.Errorf("there was something to do: %v", out)
				}
				b.wantTimer(before)
				b.wantState(state)
				if !slices.Contains(vrrp.Rejects(), tc.want) {
					t.Errorf("%q is missing in Rejects", tc.want)
				}
			})
		}
	}
}

func TestReceivingByInterface(t *testing.T) {
	b := newRig(t, nil)
	before := b.in()
	b.now = b.now.Add(second)
	if _, _, err := b.router.Receive(b.now, "eth1", b.packet(higher, 200, nil)); !errors.Is(err, vrrp.RejectUnknownVRID) {
		t.Errorf("18 on another interface: error is %v", err)
	}
	b.wantTimer(before - second)
}

func TestReceivingAccepts(t *testing.T) {
	t.Run("22 reserved bits set", func(t *testing.T) {
		b := newRig(t, nil)
		p := b.packet(higher, 200, nil)
		p.Payload[4] |= 0xf0
		resum(p)
		want(t, b.receive(p))
		b.wantTimer(3*second + skew(100, second))
	})
	t.Run("6 either checksum", func(t *testing.T) {
		for _, sum := range []vrrp.Checksum{vrrp.ChecksumLegacy, vrrp.ChecksumRFC9568} {
			b := newRig(t, nil)
			b.now = b.now.Add(second)
			a := b.params.Advert(200)
			payload, err := a.AppendBinary(nil, higher, vrrp.Group4(), sum)
			if err != nil {
				t.Fatal(err)
			}
			want(t, b.receive(vrrp.Packet{Src: higher, Dst: vrrp.Group4(), TTL: 255, Payload: payload}))
			b.wantTimer(3*second + skew(100, second))
		}
	})
	t.Run("23 v3 interval unlike ours is followed and noted once", func(t *testing.T) {
		b := newRig(t, nil)
		p := b.packet(higher, 200, func(a *vrrp.Advert) { a.Interval = 3 * second })
		want(t, b.receive(p), vrrp.Noted{Note: vrrp.NoteInterval, Peer: higher})
		b.wantTimer(9*second + skew(100, 3*second))
		want(t, b.receive(p))
	})
	t.Run("23 address list unlike ours is followed and noted once", func(t *testing.T) {
		b := newRig(t, nil)
		b.now = b.now.Add(second)
		p := b.packet(higher, 200, func(a *vrrp.Advert) { a.Addresses[0] = higher })
		want(t, b.receive(p), vrrp.Noted{Note: vrrp.NoteAddresses, Peer: higher})
		b.wantTimer(3*second + skew(100, second))
		want(t, b.receive(p))
	})
	t.Run("23 another order of addresses is no other list", func(t *testing.T) {
		b := newRig(t, func(p *vrrp.Params) { p.Addresses = []netip.Addr{vip, vip.Next()} })
		want(t, b.receive(b.packet(higher, 200, func(a *vrrp.Advert) { slices.Reverse(a.Addresses) })))
	})
	t.Run("unicast: peers only", func(t *testing.T) {
		b := newRig(t, nil)
		in := vrrp.Instance{Name: "VI_1", Interface: "eth0", Peers: []netip.Addr{lower}, Params: b.params}
		if _, err := b.router.Reconfigure(b.now, []vrrp.Instance{in}); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(second)
		if _, _, err := b.router.Receive(b.now, "eth0", b.packet(higher, 200, nil)); !errors.Is(err, vrrp.RejectPeer) {
			t.Errorf("error is %v, want %v", err, vrrp.RejectPeer)
		}
		b.wantTimer(2*second + skew(100, second))
		b.hear(lower, 200)
		b.wantTimer(3*second + skew(100, second))
	})
}
