// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"net/netip"
	"testing"

	"hafast/test/netns/lab"
)

// frrAddresses are what FRR has to list. Version 3 over IPv6 wants a link-local
// address first, which FRR leaves to its configuration; hafast, where its
// own names none, takes the one that follows from the virtual MAC.
func frrAddresses(vip netip.Addr) []netip.Addr {
	if vip.Is6() {
		return []netip.Addr{netip.MustParseAddr("fe80::200:5eff:fe00:233"), vip}
	}
	return []netip.Addr{vip}
}

// withFRR makes a pair of hafast and FRR's vrrpd.
func withFRR(t *testing.T, r role, vip netip.Addr) *mixed {
	t.Helper()
	lab.SkipUnlessInstalled(t, lab.InstalledFRR()...)
	return newMixed(t, r, vip, func(m *mixed) lab.System {
		m.hafast.Config = func(h *lab.Host) string {
			return m.forLab(fill(t, "interop-frr.yaml", map[string]any{"Priority": lab.Priority(h), "VIP": vip}), h)
		}
		peer := &lab.FRR{VRID: 51, Addresses: frrAddresses(vip), Priority: lab.Priority, Interval: 100}
		m.peerMAC = peer.VirtualMAC()
		m.complaints = []string{"invalid", "will drop", "mismatch"}
		return peer
	})
}

func TestInteropFRR(t *testing.T) {
	for _, c := range []struct {
		name string
		vip  netip.Addr
	}{
		{"v3", lab.VIP},
		{"v3 IPv6", lab.VIP6},
	} {
		for _, r := range roles() {
			t.Run(c.name+"/"+string(r), func(t *testing.T) {
				t.Parallel()
				m := withFRR(t, r, c.vip)
				if r == hafastLeads {
					story(t, append(m.leading(), m.leaving()...))
				} else {
					story(t, m.following())
				}
			})
		}
	}
}
