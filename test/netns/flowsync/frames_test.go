// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFrames: every frame has checksums that are right, those for an IPv4 header and
// those with the pseudo-header, of whichever client it is.
func TestFrames(t *testing.T) {
	vip := netip.MustParseAddrPort("192.0.2.10:80")
	to, from := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	for proto, l4Len := range map[uint8]int{unix.IPPROTO_UDP: frameLen - ethernetLen - ipv4Len, unix.IPPROTO_TCP: 20} {
		m := newMould(proto, vip, to, from)
		for _, i := range []uint32{0, 1, 49_999, 50_000, 3_276_799, 1 << 31} {
			c := clientNo(i)
			frame := m.cast(c)
			ip, l4 := frame[ethernetLen:][:ipv4Len], frame[ethernetLen+ipv4Len:][:l4Len]
			if got := whole(sum(ip)); got != 0xffff {
				t.Errorf("protocol %d, client %d: the IPv4 header adds up to %#x", proto, i, got)
			}
			if got := whole(sum(l4) + sum(ip[12:20]) + uint32(proto) + uint32(l4Len)); got != 0xffff {
				t.Errorf("protocol %d, client %d: with the pseudo-header it adds up to %#x", proto, i, got)
			}
			if src := netip.AddrFrom4([4]byte(ip[12:16])); !netip.MustParsePrefix("198.18.0.0/15").Contains(src) {
				t.Errorf("client %d has the address %s", i, src)
			}
		}
	}
}

func whole(s uint32) uint32 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return s
}

// TestClients: no two are alike.
func TestClients(t *testing.T) {
	seen := map[client]uint32{}
	for i := range uint32(200_000) {
		if other, there := seen[clientNo(i)]; there {
			t.Fatalf("clients %d and %d are one", other, i)
		}
		seen[clientNo(i)] = i
	}
}
