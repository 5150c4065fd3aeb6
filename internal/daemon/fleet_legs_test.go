// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/control"
	"hafast/internal/membership"
)

// sendsTo reports whether the host's data path was given the way to another as proved.
func (h *fleetHost) sendsTo(other *fleetHost) (proved bool) {
	h.t.Helper()
	h.on(func(time.Time) { proved = h.path.proved[other.addr] })
	return proved
}

// TestLegsAreProvedByTheOtherEnd: who receives knows what arrives, and says so in its
// hello; who sends on follows.
func TestLegsAreProvedByTheOtherEnd(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		hosts := w.settled()
		haa, hab := hosts[0], hosts[1]
		if haa.sendsTo(hab) || haa.peerIs(hab.addr).LegTo != bfd.LegUnknown {
			t.Error("proved before anything was said")
		}
		for _, proved := range []bool{true, false, true} {
			state := bfd.LegLost
			if proved {
				state = bfd.LegProved
			}
			hab.leg(haa.addr, state, true)
			pass(time.Millisecond)
			if got := haa.peerIs(hab.addr).LegTo; got != state || haa.sendsTo(hab) != proved {
				t.Errorf("leg to hab is %v, proved %v; want %v", got, haa.sendsTo(hab), state)
			}
			if hab.sendsTo(haa) {
				t.Error("the other way is proved without a word of it")
			}
		}
	})
}

// TestLegOfARestartedPeerIsKept until it says something: a peer that has only just
// begun knows nothing yet.
func TestLegOfARestartedPeerIsKept(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		hosts := w.settled()
		haa, hab := hosts[0], hosts[1]
		hab.leg(haa.addr, bfd.LegProved, true)
		haa.post(w.t.Context(), peerSpoke{membership.Peer{Addr: hab.addr, Heard: time.Now(), Hello: membership.Hello{Boot: 77, State: membership.Up}}})
		pass(time.Millisecond)
		haa.on(func(time.Time) {
			if got := haa.legs.restarted; !slices.Equal(got, []netip.Addr{hab.addr, hab.addr}) {
				w.t.Errorf("judged anew are the legs from %v, want hab's at its start and at the next one", got)
			}
		})
		if !haa.sendsTo(hab) || haa.peerIs(hab.addr).LegTo != bfd.LegProved {
			t.Error("lost for want of a word")
		}
		haa.post(w.t.Context(), peerSpoke{membership.Peer{Addr: hab.addr, Heard: time.Now(), Hello: membership.Hello{
			Boot: 77, Sequence: 2, State: membership.Up, Legs: []membership.Leg{{From: membership.LegKey(haa.exchange.boot)}},
		}}})
		pass(time.Millisecond)
		if haa.sendsTo(hab) {
			t.Error("kept against its word")
		}
	})
}

// TestLostLegIsExplained in status and in the journal, with the end that is at fault.
func TestLostLegIsExplained(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		hosts := w.settled()
		haa, hab := hosts[0], hosts[1]
		for _, c := range []struct {
			forwards bool
			want     string
		}{
			{false, "its probes do not arrive here"},
			{true, "does not arrive there"},
		} {
			haa.leg(hab.addr, bfd.LegProved, c.forwards)
			hab.leg(haa.addr, bfd.LegLost, true)
			pass(time.Millisecond)
			st, err := haa.backend().Status(w.t.Context())
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(st.Targets, func(x control.Target) bool { return x.Address == hab.addr.String() })
			target := st.Targets[at]
			if target.Leg != "lost" || target.LegFrom != "proved" || !strings.Contains(target.LegReason, c.want) || target.State != control.StateUp {
				t.Errorf("forwards %v: %+v", c.forwards, target)
			}
		}
		if got := haa.journalled("leg"); len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), "new flows do not go to ") {
			t.Errorf("the journal has %q", got)
		}
	})
}
