// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hafast/pkg/vrrp"
)

// bytesOf reads hex with spaces and line comments.
func bytesOf(t testing.TB, text string) []byte {
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

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, s := range list {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

// golden is an advert as the named program put it on the wire.
type golden struct {
	name     string
	src, dst string
	sum      vrrp.Checksum
	hex      string
	advert   vrrp.Advert
}

func (g golden) packet(t testing.TB) vrrp.Packet {
	return vrrp.Packet{
		Src: netip.MustParseAddr(g.src), Dst: netip.MustParseAddr(g.dst), TTL: vrrp.TTL, Payload: bytesOf(t, g.hex),
	}
}

// The packets were captured with tcpdump on the other end of a veth pair; the
// configurations are given as far as they matter. Neither keepalived 2.2.7 nor
// FRR 8.4 can be told to leave the pseudo-header out, so that the packet with
// RFC 9568's checksum was summed by hand.
func goldens() []golden {
	return []golden{
		{
			// state MASTER, virtual_router_id 51, priority 101, virtual_ipaddress 10.224.147.208
			name: "keepalived 2.2.7, v2", src: "10.9.0.1", dst: "224.0.0.18",
			hex: `21          # version 2, type 1
			      33          # VRID 51
			      65          # priority 101
			      01          # one address
			      00          # no authentication
			      01          # 1 s
			      db19        # checksum
			      0ae093d0    # 10.224.147.208
			      0000000000000000 # authentication data`,
			advert: vrrp.Advert{Version: 2, VRID: 51, Priority: 101, Interval: time.Second, Addresses: addrs("10.224.147.208")},
		},
		{
			// the same with authentication { auth_type PASS auth_pass s3cret }
			name: "keepalived 2.2.7, v2 with password", src: "10.9.0.1", dst: "224.0.0.18",
			hex: `21 33 65 01
			      01          # plain text password
			      01          # 1 s
			      9dff        # checksum
			      0ae093d0    # 10.224.147.208
			      7333637265740000 # "s3cret"`,
			advert: vrrp.Advert{
				Version: 2, VRID: 51, Priority: 101, Interval: time.Second, Addresses: addrs("10.224.147.208"), Password: "s3cret",
			},
		},
		{
			// version 3, priority 200, advert_int 0.1, two addresses
			name: "keepalived 2.2.7, v3 over IPv4", src: "10.9.0.1", dst: "224.0.0.18",
			hex: `31          # version 3, type 1
			      33          # VRID 51
			      c8          # priority 200
			      02          # two addresses
			      000a        # 10 cs
			      0748        # checksum with pseudo-header
			      0a090064    # 10.9.0.100
			      0a090065    # 10.9.0.101`,
			advert: vrrp.Advert{
				Version: 3, VRID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: addrs("10.9.0.100", "10.9.0.101"),
			},
		},
		{
			// vrrp 5 version 3, priority 200, advertisement-interval 200, ip 10.9.0.50
			name: "FRR 8.4.4 vrrpd, v3 over IPv4", src: "10.9.0.1", dst: "224.0.0.18",
			hex: `31 05 c8 01
			      0014        # 20 cs
			      1211        # checksum with pseudo-header
			      0a090032    # 10.9.0.50`,
			advert: vrrp.Advert{
				Version: 3, VRID: 5, Priority: 200, Interval: 200 * time.Millisecond, Addresses: addrs("10.9.0.50"),
			},
		},
		{
			name: "by hand, v3 over IPv4 as RFC 9568 sums it", src: "10.9.0.1", dst: "224.0.0.18", sum: vrrp.ChecksumRFC9568,
			hex: `31 05 c8 01
			      0014        # 20 cs
			      fca9        # ^(3105 + c801 + 0014 + 0a09 + 0032)
			      0a090032    # 10.9.0.50`,
			advert: vrrp.Advert{
				Version: 3, VRID: 5, Priority: 200, Interval: 200 * time.Millisecond, Addresses: addrs("10.9.0.50"),
			},
		},
		{
			// version 3, virtual_router_id 66, priority 150, fe80::100 and 2001:db8::100
			name: "keepalived 2.2.7, v3 over IPv6", src: "fe80::8c45:e9ff:fe41:26f5", dst: "ff02::12",
			hex: `31          # version 3, type 1
			      42          # VRID 66
			      96          # priority 150
			      02          # two addresses
			      0064        # 100 cs
			      7072        # checksum with pseudo-header
			      fe80 0000 0000 0000 0000 0000 0000 0100
			      2001 0db8 0000 0000 0000 0000 0000 0100`,
			advert: vrrp.Advert{
				Version: 3, VRID: 66, Priority: 150, Interval: time.Second, Addresses: addrs("fe80::100", "2001:db8::100"),
			},
		},
	}
}

func TestGolden(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			p := g.packet(t)
			got, err := vrrp.Parse(p)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(g.advert, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("decoded (-want +got):\n%s", d)
			}
			wire, err := g.advert.AppendBinary([]byte("before"), p.Src, p.Dst, g.sum)
			if err != nil {
				t.Fatal(err)
			}
			if want, got := "before"+string(p.Payload), string(wire); want != got {
				t.Errorf("encoded %x\nwant    %x", got, want)
			}
		})
	}
}

func TestRoundTripAtTheLimits(t *testing.T) {
	many := func(n int, first netip.Addr) []netip.Addr {
		out := []netip.Addr{first}
		for len(out) < n {
			out = append(out, out[len(out)-1].Next())
		}
		return out
	}
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")
	for name, a := range map[string]vrrp.Advert{
		"v3 smallest":                {Version: 3, VRID: 1, Priority: 0, Interval: vrrp.MinInterval, Addresses: many(1, four)},
		"v3 largest":                 {Version: 3, VRID: 255, Priority: 255, Interval: vrrp.MaxInterval, Addresses: many(255, four)},
		"v3 largest over IPv6":       {Version: 3, VRID: 255, Priority: 255, Interval: vrrp.MaxInterval, Addresses: many(255, six)},
		"v2 smallest":                {Version: 2, VRID: 1, Priority: 0, Interval: time.Second, Addresses: many(1, four)},
		"v2 largest":                 {Version: 2, VRID: 255, Priority: 255, Interval: vrrp.MaxIntervalV2, Addresses: many(255, four), Password: "12345678"},
		"v2 password with inner NUL": {Version: 2, VRID: 1, Priority: 1, Interval: time.Second, Addresses: many(1, four), Password: "a\x00b"},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := netip.MustParseAddr("10.0.3.1"), vrrp.Group4()
			if a.Addresses[0].Is6() {
				src, dst = netip.MustParseAddr("fe80::ffff"), vrrp.Group6()
			}
			wire, err := a.AppendBinary(nil, src, dst, vrrp.ChecksumLegacy)
			if err != nil {
				t.Fatal(err)
			}
			got, err := vrrp.Parse(vrrp.Packet{Src: src, Dst: dst, TTL: vrrp.TTL, Payload: wire})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(a, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-sent +received):\n%s", d)
			}
		})
	}
}

func TestEncodeErrors(t *testing.T) {
	for name, change := range map[string]func(*vrrp.Advert){
		"version 1":                    func(a *vrrp.Advert) { a.Version = 1 },
		"version 4":                    func(a *vrrp.Advert) { a.Version = 4 },
		"no address":                   func(a *vrrp.Advert) { a.Addresses = nil },
		"256 addresses":                func(a *vrrp.Advert) { a.Addresses = make([]netip.Addr, 256) },
		"an address of no family":      func(a *vrrp.Advert) { a.Addresses = []netip.Addr{{}} },
		"interval 0":                   func(a *vrrp.Advert) { a.Interval = 0 },
		"interval negative":            func(a *vrrp.Advert) { a.Interval = -time.Second },
		"interval over 4095 cs":        func(a *vrrp.Advert) { a.Interval = vrrp.MaxInterval + vrrp.MinInterval },
		"interval of 15 ms":            func(a *vrrp.Advert) { a.Interval = 15 * time.Millisecond },
		"v2 interval over 255 s":       func(a *vrrp.Advert) { a.Version, a.Interval = 2, 256*time.Second },
		"v2 interval of half a second": func(a *vrrp.Advert) { a.Version, a.Interval = 2, 500*time.Millisecond },
		"v2 password of nine bytes":    func(a *vrrp.Advert) { a.Version, a.Password = 2, "123456789" },
	} {
		t.Run(name, func(t *testing.T) {
			a := vrrp.Advert{Version: 3, VRID: 1, Priority: 100, Interval: time.Second, Addresses: addrs("10.0.0.100")}
			change(&a)
			if b, err := a.AppendBinary(nil, ours, vrrp.Group4(), 0); err == nil {
				t.Errorf("encoded %x", b)
			}
		})
	}
	t.Run("v2 over IPv6", func(t *testing.T) {
		a := vrrp.Advert{Version: 2, VRID: 1, Priority: 100, Interval: time.Second, Addresses: addrs("fe80::100")}
		if b, err := a.AppendBinary(nil, netip.MustParseAddr("fe80::1"), vrrp.Group6(), 0); err == nil {
			t.Errorf("encoded %x", b)
		}
	})
}

func TestVirtualMAC(t *testing.T) {
	if got, want := vrrp.VirtualMAC(51, false), [6]byte{0, 0, 0x5e, 0, 1, 51}; got != want {
		t.Errorf("IPv4: %x, want %x", got, want)
	}
	if got, want := vrrp.VirtualMAC(51, true), [6]byte{0, 0, 0x5e, 0, 2, 51}; got != want {
		t.Errorf("IPv6: %x, want %x", got, want)
	}
}
