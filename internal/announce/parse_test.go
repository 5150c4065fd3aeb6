// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"net/netip"
	"testing"
)

const (
	goodARP         = "0001 0800 06 04 0002 02000000000a 0a000009 020000000001 0a000001"
	goodNA          = briefNAOverride + "0201 02000000000a"
	briefNAOverride = "8800 0000 20000000 fd000000000000000000000000000009"
	briefNA         = "8800 0000 60000000 fd000000000000000000000000000009"
	goodProbe       = "0001 0800 06 04 0001 02000000000a 00000000 000000000000 0a000009"
)

func TestParseARP(t *testing.T) {
	tests := []struct {
		name, packet string
		addr, mac    string
		ok, bad      bool
	}{
		{name: "reply", packet: goodARP, addr: "10.0.0.9", mac: "02:00:00:00:00:0a", ok: true},
		{name: "padded to the minimum frame", packet: goodARP + "000000000000000000000000000000000000", addr: "10.0.0.9", mac: "02:00:00:00:00:0a", ok: true},
		{name: "probe", packet: goodProbe, addr: "0.0.0.0", mac: "02:00:00:00:00:0a"},
		{name: "empty", packet: "", bad: true},
		{name: "truncated", packet: "0001 0800 06 04 0002 02000000000a 0a00", bad: true},
		{name: "other hardware", packet: "0006 0800 06 04 0002 02000000000a 0a000009 020000000001 0a000001", bad: true},
		{name: "other protocol", packet: "0001 86dd 06 04 0002 02000000000a 0a000009 020000000001 0a000001", bad: true},
		{name: "lying lengths", packet: "0001 0800 ff ff 0002 02000000000a 0a000009 020000000001 0a000001", bad: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr, mac, ok, err := parseARP(unhex(t, test.packet))
			if (err != nil) != test.bad {
				t.Fatalf("error %v, want one: %v", err, test.bad)
			}
			if test.bad {
				return
			}
			if addr.String() != test.addr || mac.String() != test.mac || ok != test.ok {
				t.Errorf("got %v %v %v", addr, mac, ok)
			}
		})
	}
}

func TestParseAdvertisement(t *testing.T) {
	tests := []struct {
		name, packet, mac string
		bad               bool
	}{
		{name: "with an address", packet: goodNA, mac: "02:00:00:00:00:0a"},
		{name: "without", packet: briefNA},
		{name: "empty", packet: "", bad: true},
		{name: "truncated", packet: "8800 0000 20000000 fd0000000000", bad: true},
		{name: "a solicitation", packet: "8700 0000 00000000 fd000000000000000000000000000009", bad: true},
		{name: "multicast target", packet: "8800 0000 20000000 ff020000000000000000000000000001", bad: true},
		{name: "option of length 0", packet: briefNA + "0200", bad: true},
		{name: "option beyond the end", packet: briefNA + "0203 02000000000a", bad: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr, mac, err := parseAdvertisement(unhex(t, test.packet))
			if (err != nil) != test.bad {
				t.Fatalf("error %v, want one: %v", err, test.bad)
			}
			if !test.bad && (addr != netip.MustParseAddr("fd00::9") || mac.String() != test.mac) {
				t.Errorf("got %v %v", addr, mac)
			}
		})
	}
}

func FuzzParseARP(f *testing.F) {
	for _, seed := range []string{goodARP, goodProbe, "", "0001 0800 06 04"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, mac, ok, err := parseARP(b)
		if err == nil && (!addr.Is4() || len(mac) != 6 || ok == addr.IsUnspecified()) {
			t.Errorf("accepted %x as %v %v", b, addr, mac)
		}
	})
}

func FuzzParseAdvertisement(f *testing.F) {
	for _, seed := range []string{goodNA, briefNA, "", "8800 0000 20000000 fd"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if addr, _, err := parseAdvertisement(b); err == nil && (!addr.Is6() || addr.IsMulticast()) {
			t.Errorf("accepted %x as %v", b, addr)
		}
	})
}
