// SPDX-License-Identifier: Apache-2.0

package advert

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// TestFrame compares whole frames with packets that were captured from
// keepalived 2.2.7 and FRR 8.4.4, but for what we set otherwise: the
// identification is 0 and, over IPv6, so is the flow label.
func TestFrame(t *testing.T) {
	for _, tc := range []struct {
		name     string
		mac      [6]byte
		src, dst string
		payload  string
		want     string
	}{
		{
			name: "IPv4", mac: [6]byte{0, 0, 0x5e, 0, 1, 5}, src: "10.9.0.1", dst: "224.0.0.18",
			payload: "3105c801 0014 1211 0a090032",
			want: `01005e000012      # the group's MAC
			       00005e000105      # the virtual MAC
			       0800              # IPv4
			       45 c0 0020        # header of 20 bytes, CS6, 32 bytes in all
			       0000 4000         # identification 0, don't fragment
			       ff 70 9091        # TTL 255, VRRP, checksum
			       0a090001 e0000012 # 10.9.0.1 to 224.0.0.18
			       3105c801 0014 1211 0a090032`,
		},
		{
			name: "IPv6", mac: [6]byte{0, 0, 0x5e, 0, 2, 66}, src: "fe80::8c45:e9ff:fe41:26f5", dst: "ff02::12",
			payload: "31429602 0064 7072 fe800000000000000000000000000100 20010db8000000000000000000000100",
			want: `333300000012      # the group's MAC
			       00005e000242      # the virtual MAC
			       86dd              # IPv6
			       6c000000          # version 6, CS6, flow label 0
			       0028 70 ff        # 40 bytes, VRRP, hop limit 255
			       fe800000000000008c45e9fffe4126f5
			       ff020000000000000000000000000012
			       31429602 0064 7072
			       fe800000000000000000000000000100
			       20010db8000000000000000000000100`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := frame(tc.mac, bytesOf(t, tc.payload), netip.MustParseAddr(tc.src), netip.MustParseAddr(tc.dst))
			if want := bytesOf(t, tc.want); !bytes.Equal(got, want) {
				t.Errorf("frame is\n%x, want\n%x", got, want)
			}
		})
	}
}

// TestGroupMAC has an address whose 25th bit does not fit the MAC (RFC 1112 section 6.4).
func TestGroupMAC(t *testing.T) {
	for group, want := range map[string][6]byte{
		"224.0.0.18":   {0x01, 0x00, 0x5e, 0x00, 0x00, 0x12},
		"239.129.2.3":  {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03},
		"ff02::12":     {0x33, 0x33, 0x00, 0x00, 0x00, 0x12},
		"ff02::1:ff01": {0x33, 0x33, 0x00, 0x01, 0xff, 0x01},
	} {
		if got := groupMAC(netip.MustParseAddr(group)); got != want {
			t.Errorf("%s: %x, want %x", group, got, want)
		}
	}
}

// bytesOf reads hex with spaces and line comments.
func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}
