// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hafast/pkg/vrrp"
)

// FuzzParse4 and FuzzParse6 decode anything: the error is always a Reject, and
// what decodes can be encoded to something that decodes to the same.
func FuzzParse4(f *testing.F) { fuzzParse(f, netip.MustParseAddr("10.9.0.1"), vrrp.Group4()) }

func FuzzParse6(f *testing.F) { fuzzParse(f, netip.MustParseAddr("fe80::1"), vrrp.Group6()) }

func fuzzParse(f *testing.F, src, dst netip.Addr) {
	for _, g := range goldens() {
		f.Add(byte(255), false, g.packet(f).Payload)
		f.Add(byte(255), true, g.packet(f).Payload)
	}
	f.Add(byte(254), true, []byte{})
	// With summed the checksum is made right, or nothing would get past it.
	f.Fuzz(func(t *testing.T, ttl byte, summed bool, payload []byte) {
		p := vrrp.Packet{Src: src, Dst: dst, TTL: int(ttl), Payload: payload}
		if summed && len(payload) >= 8 {
			resum(p)
		}
		a, err := vrrp.Parse(p)
		if err != nil {
			if reject := vrrp.Reject(""); !errors.As(err, &reject) || a.Addresses != nil {
				t.Fatalf("error is %T %v beside %v", err, err, a)
			}
			return
		}
		p.Payload, err = a.AppendBinary(nil, src, dst, vrrp.ChecksumLegacy)
		if err != nil {
			t.Fatalf("what was received cannot be sent: %v", err)
		}
		again, err := vrrp.Parse(p)
		if err != nil {
			t.Fatalf("what was sent cannot be received: %v", err)
		}
		if d := cmp.Diff(a, again, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Fatalf("(-first +again):\n%s", d)
		}
	})
}
