// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Frames by field; the spaces are for reading.
const (
	toGroup   = "01005e000012 02000ae093a6 0800 " // destination, source, IPv4
	ipv4      = "45c0 0024 0000 4000 ff70 0000 0ae093a6 e0000012 "
	adverts   = "31 33 65 01 000a 0000 0ae093d0" // v3, vrid 51, priority 101, one address
	broadcast = "ffffffffffff 02000ae093a6 0806 "
	arpHead   = "0001 0800 06 04 "
	mac       = "02000ae093a6 "
)

func TestParseFrame(t *testing.T) {
	vip := netip.MustParseAddr("10.224.147.208")
	from := netip.MustParseAddr("10.224.147.166")
	owner := [6]byte{2, 0, 0x0a, 0xe0, 0x93, 0xa6}
	tests := []struct {
		name  string
		frame string
		want  *Sighting
	}{
		{"advert", toGroup + ipv4 + adverts, &Sighting{At: 7, Advert: &Advert{Src: from, VRID: 51, Priority: 101}}},
		{
			"advert behind IP options", toGroup + strings.Replace(ipv4, "45", "46", 1) + "94040000 " + adverts,
			&Sighting{At: 7, Advert: &Advert{Src: from, VRID: 51, Priority: 101}},
		},
		{"gratuitous request", broadcast + arpHead + "0001 " + mac + "0ae093d0 000000000000 0ae093d0", &Sighting{At: 7, Announced: vip, MAC: owner}},
		{"gratuitous reply", broadcast + arpHead + "0002 " + mac + "0ae093d0 ffffffffffff 0ae093d0", &Sighting{At: 7, Announced: vip, MAC: owner}},
		{"question", broadcast + arpHead + "0001 " + mac + "0ae093a6 000000000000 0ae093d0", nil},
		{"other hardware", broadcast + "0006 0800 06 04 0001 " + mac + "0ae093d0 000000000000 0ae093d0", nil},
		{"half an ARP", broadcast + arpHead + "0001 " + mac, nil},
		{"TCP", toGroup + strings.Replace(ipv4, "ff70", "ff06", 1) + adverts, nil},
		{"half an advert", toGroup + ipv4 + "3133", nil},
		{"a header length below the least", toGroup + strings.Replace(ipv4, "45", "41", 1) + adverts, nil},
		{"IPv6", "333300000012 02000ae093a6 86dd 60000000", nil},
		{"half a frame", "01005e000012", nil},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame, err := hex.DecodeString(strings.ReplaceAll(tt.frame, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := parseFrame(frame, 7)
			if ok != (tt.want != nil) {
				t.Fatalf("seen: %t", ok)
			}
			if ok {
				if diff := cmp.Diff(*tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
