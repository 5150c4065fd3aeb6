// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// unhex reads hex with spaces and // comments at line ends.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrame(t *testing.T) {
	virtual := net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	tests := []struct {
		name            string
		addr, linkLocal string
		want            string
	}{
		{
			name: "gratuitous arp",
			addr: "10.224.147.208",
			want: `
				ffffffffffff 00005e000133 0806 // broadcast, from the virtual MAC, ARP
				0001 0800 06 04 0001           // Ethernet, IPv4, request
				00005e000133 0ae093d0          // sender: the virtual MAC and the VIP
				000000000000 0ae093d0          // target: nobody and the VIP
				000000000000000000000000000000000000 // up to the least frame`,
		},
		{
			name: "unsolicited neighbour advertisement", addr: "fd00::9", linkLocal: "fe80::1",
			want: `
				333300000001 00005e000133 86dd           // all nodes, from the virtual MAC, IPv6
				60000000 0020 3a ff                      // 32 bytes, ICMPv6, hop limit 255
				fe800000000000000000000000000001         // from the link-local address
				ff020000000000000000000000000001         // to all nodes
				88 00 TTTT                               // neighbour advertisement, checksum
				a0000000                                 // R=1 S=0 O=1
				fd000000000000000000000000000009         // target: the VIP
				02 01 00005e000133                       // target link-layer address`,
		},
		{
			name: "without a link-local address", addr: "fd00::9",
			want: `
				333300000001 00005e000133 86dd
				60000000 0020 3a ff
				fd000000000000000000000000000009         // from the VIP
				ff020000000000000000000000000001
				88 00 TTTT
				a0000000
				fd000000000000000000000000000009
				02 01 00005e000133`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var linkLocal netip.Addr
			if test.linkLocal != "" {
				linkLocal = netip.MustParseAddr(test.linkLocal)
			}
			got, err := Frame(netip.MustParseAddr(test.addr), virtual, linkLocal)
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, strings.ReplaceAll(test.want, "TTTT", "0000"))
			if len(got) != len(want) {
				t.Fatalf("%d bytes, want %d:\n%x", len(got), len(want), got)
			}
			if strings.Contains(test.want, "TTTT") {
				const at = 14 + 40 + 2
				if sum := icmp6Sum(got[14:]); sum != 0xffff {
					t.Errorf("checksum is wrong: sum %#x", sum)
				}
				copy(got[at:at+2], []byte{0, 0})
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

// icmp6Sum adds up pseudo-header and message (RFC 8200 section 8.1); it is
// 0xffff where the checksum is right.
func icmp6Sum(packet []byte) uint32 {
	sum := uint32(len(packet)-40) + 58
	for b := packet[8:]; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

func TestFrameRefusesAShortMAC(t *testing.T) {
	for _, addr := range []string{"10.0.0.9", "fd00::9"} {
		if b, err := Frame(netip.MustParseAddr(addr), net.HardwareAddr{1, 2}, netip.Addr{}); err == nil {
			t.Errorf("%s: made %x", addr, b)
		}
	}
}
