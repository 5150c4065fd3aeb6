// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/membership"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// says has the host hear this of a peer.
func (h *fleetHost) says(addr netip.Addr, state membership.State) {
	h.t.Helper()
	p := h.peerIs(addr)
	p.Said.Hello.State = state
	h.post(h.t.Context(), peerSpoke{p.Said})
	h.on(func(time.Time) {})
}

// departed reports what was found out about the host of a peer that has said goodbye.
func (h *fleetHost) departed(addr netip.Addr, gone bool) {
	h.t.Helper()
	h.on(func(now time.Time) { h.loop.departedGone(now, addr, gone) })
}

// goodFor checks what the peer's haproxy is taken for, by tables and flows alike.
func (h *fleetHost) goodFor(addr netip.Addr, want steering.State) {
	h.t.Helper()
	if got := h.target(addr).State; got != want {
		h.t.Errorf("new flows find it %s, want %s", got, want)
	}
	h.on(func(time.Time) {
		if got := h.path.states[addr]; got != want {
			h.t.Errorf("its flows find it %s, want %s", got, want)
		}
	})
}

// watches checks whose hosts are watched.
func (h *fleetHost) watches(want ...netip.Addr) {
	h.t.Helper()
	h.on(func(time.Time) {
		if got := h.path.departed; !slices.Equal(got, want) {
			h.t.Errorf("watches the hosts of %v, want %v", got, want)
		}
	})
}

// A host whose daemon was stopped keeps its flows for as long as it answers at all.
func TestDepartedHostDies(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.watches()
		b.says(a.addr, membership.Stopping)
		b.live(a.addr, bfd.Up, bfd.Unmonitored)
		b.watches(a.addr)
		b.goodFor(a.addr, steering.Drain)

		b.departed(a.addr, true)
		b.goodFor(a.addr, steering.Down)
		b.goodFor(w4(3), steering.Up)
		got := b.journalled("peer")
		if last := got[len(got)-1]; !strings.Contains(last, "ceased to answer") {
			t.Errorf("journal ends with %q", last)
		}
		b.on(func(time.Time) {
			if p := b.loop.fleet.peers.Peer(a.addr); reasonOf(p) != "does not answer" {
				t.Errorf("status says %q", reasonOf(p))
			}
		})
		b.departed(a.addr, false)
		b.goodFor(a.addr, steering.Drain)

		// Its daemon is back, and nothing that was found out before counts any more.
		b.departed(a.addr, true)
		b.says(a.addr, membership.Up)
		b.live(a.addr, bfd.Unmonitored, bfd.Up)
		b.watches()
		b.goodFor(a.addr, steering.Up)
		b.departed(a.addr, true)
		b.goodFor(a.addr, steering.Up)
		b.says(a.addr, membership.Stopping)
		b.goodFor(a.addr, steering.Drain)
	})
}

// A host that answers by one of its addresses is there.
func TestDepartedHostOfTwoAddresses(t *testing.T) {
	inFleet(t, withTwoAddresses(), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		for _, addr := range a.addrs {
			b.says(addr, membership.Stopping)
		}
		b.watches(a.addrs...)
		b.departed(a.addrs[0], true)
		b.goodFor(a.addrs[0], steering.Drain)
		b.departed(a.addrs[1], true)
		b.goodFor(a.addrs[0], steering.Down)
		b.departed(a.addrs[0], false)
		b.goodFor(a.addrs[0], steering.Drain)
	})
}

// Whoever is taken out of the configuration is watched no more.
func TestDepartedPeerIsForgotten(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.says(a.addr, membership.Stopping)
		b.reload(strings.Replace(member(2, 3), "10.0.0.1, ", "", 1))
		b.watches()
		b.departed(a.addr, true) // had been under way
		b.goodFor(w4(3), steering.Up)
	})
}

// A daemon that is started while a peer's is gone goes on with the flows that its
// predecessor sent there, until the host is gone, or has its own word to say.
func TestInheritedPeer(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 0, 9}
	inherit := func(h *fleetHost) {
		if h.addr != w4(2) {
			return
		}
		h.loop.fleet.begin(time.Now(), h.cfg.Peers, []loader.Target{
			{Addr: w4(2), Flags: loader.TargetLocal | loader.TargetOld},
			{Addr: w4(1), Flags: loader.TargetOld, MAC: mac},
			{Addr: w4(3), MAC: mac}, // dead already
			{Addr: w4(77), Flags: loader.TargetOld, MAC: mac},
		})
	}
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.fleet[0], w.fleet[1], w.fleet[2]
		pass(5 * time.Second)
		if got := b.target(a.addr); got.State != steering.Drain || got.MAC != mac {
			t.Errorf("the data path is to take a for %s, at %x", got.State, got.MAC)
		}
		if got := b.target(c.addr).State; got != steering.Down {
			t.Errorf("what was dead before is %s", got)
		}
		b.watches(a.addr)
		b.live(a.addr, bfd.Unknown, bfd.Unmonitored)
		b.departed(a.addr, true)
		b.goodFor(a.addr, steering.Down)
		b.departed(a.addr, false)
		b.goodFor(a.addr, steering.Drain)
		b.post(w.t.Context(), peerSpoke{membership.Peer{
			Addr: a.addr, Heard: time.Now(), Hello: membership.Hello{Boot: 9, State: membership.Up},
		}})
		b.watches()
		b.live(a.addr, bfd.Unmonitored, bfd.Up)
		b.goodFor(a.addr, steering.Up)
	}, inherit, mutes(w4(1), w4(3)))
}

// There are no more peers than the data path has room for.
func TestPeersAreBounded(t *testing.T) {
	var list []netip.Addr
	for n := range byte(20) {
		list = append(list, w4(n+1))
	}
	var f fleet
	if f.setPeers(list); len(f.peers.All()) != config.MaxPeers {
		t.Errorf("%d peers, there is room for %d", len(f.peers.All()), config.MaxPeers)
	}
}
