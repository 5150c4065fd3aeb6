// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/link"
)

func TestWitnessIsNamed(t *testing.T) {
	gateway := w4(254)
	inFleet(t, []string{member(1, 2), strings.Replace(member(2, 2), "metrics: off", "metrics: off\nliveness: {witness: 10.0.0.9}", 1)}, func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.post(w.t.Context(), gatewayFound{"eth0", gateway})
		a.on(func(time.Time) {
			got := a.prober.witness
			if got.Address != gateway || got.Source != a.addr || got.Interface != 2 || !slices.Equal(got.MAC, a.links["eth0"].MAC) {
				t.Errorf("witness %+v, want the gateway", got)
			}
		})
		b.on(func(time.Time) {
			if got := b.prober.witness.Address; got != w4(9) {
				t.Errorf("witness %v, want the configured one", got)
			}
		})
	})
}

// With the first instance on another interface, the gateway is that one's.
func TestGatewayMovesWithTheFirstInstance(t *testing.T) {
	old, next := w4(254), netip.AddrFrom4([4]byte{10, 1, 0, 254})
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		a.post(w.t.Context(), gatewayFound{"eth0", old})
		a.on(func(now time.Time) {
			own := netip.MustParsePrefix("10.1.0.1/24")
			a.linkChanged(now, link.Change{Name: "eth1", Present: true, State: link.State{
				Name: "eth1", Index: 3, Up: true, MAC: net.HardwareAddr{2, 0, 0, 0, 1, 1}, Addrs: []netip.Prefix{own},
			}})
		})
		a.reload(strings.Replace(member(1, 2), "interface: eth0", "interface: eth1", 1))
		witness := func() (at bfd.Witness) {
			a.on(func(time.Time) { at = a.prober.witness })
			return at
		}
		if got := witness().Address; got.IsValid() {
			t.Errorf("%v is asked, which is behind the interface that was left", got)
		}
		a.on(func(time.Time) {
			if got := a.path.watched.iface; got != "eth1" {
				t.Errorf("the gateway of %s is looked for", got)
			}
		})
		a.post(w.t.Context(), gatewayFound{"eth1", next})
		if got := witness(); got.Address != next || got.Interface != 3 {
			t.Errorf("witness %+v, want %v", got, next)
		}
	})
}

// A link-local address means nothing without an interface.
func TestLinkLocalPeerIsScoped(t *testing.T) {
	text := strings.Replace(member(1, 2), "10.0.0.2", "fe80::2", 1)
	inFleet(t, []string{text}, func(w *fleetWorld) {
		a := w.fleet[0]
		a.on(func(now time.Time) {
			state := a.links["eth0"]
			state.Addrs = append(slices.Clone(state.Addrs), netip.MustParsePrefix("fe80::1/64"))
			a.linkChanged(now, link.Change{Name: "eth0", Present: true, State: state})
		})
		a.on(func(time.Time) {
			own := netip.MustParseAddr("fe80::1")
			if got := a.prober.peers; len(got) != 1 || got[0].Interface != 2 || got[0].Source != own {
				t.Errorf("probed: %+v", got)
			}
			if got := a.exchange.neighbours; len(got) != 1 || got[0].Interface != 2 || got[0].Source != own {
				t.Errorf("told: %+v", got)
			}
		})
	})
}
