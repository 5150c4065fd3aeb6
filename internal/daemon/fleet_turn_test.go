// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

// chance is how long those who go first have, by the default pace of liveness.
const chance = chanceProbes * 3 * 2 * time.Millisecond

// loses has hosts find out that a peer answers no more.
func loses(peer *fleetHost, hosts ...*fleetHost) {
	for _, h := range hosts {
		h.live(peer.addr, bfd.Up, bfd.Down)
	}
}

// The best one that lives takes over at once, in whatever order the hosts find out, and
// nobody else does.
func TestTheBestOneGoesFirst(t *testing.T) {
	for name, order := range map[string][]int{"first": {1, 2, 3, 4}, "last": {4, 3, 2, 1}} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, members(5), func(w *fleetWorld) {
				a := w.settled()[0]
				a.isolate(true)
				before := time.Now()
				for _, i := range order {
					loses(a, w.fleet[i])
				}
				w.expect(vrrp.Active, vrrp.Active, vrrp.Backup, vrrp.Backup, vrrp.Backup)
				if !time.Now().Equal(before) {
					t.Errorf("it took %v", time.Since(before))
				}
				pass(10 * time.Second)
				w.expect(vrrp.Active, vrrp.Active, vrrp.Backup, vrrp.Backup, vrrp.Backup)
				for _, h := range w.fleet[2:] {
					if got := h.journalled("transition"); len(got) != 1 {
						t.Errorf("%s moved: %q", h.addr, got)
					}
				}
			})
		})
	}
}

// Of two hosts that die at once the second one's successor waits for nothing.
func TestTwoDeathsAtOnce(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		a.isolate(true)
		b.isolate(true)
		loses(a, c)
		if got := c.state("VI_1"); got != vrrp.Backup {
			t.Fatalf("c is %s before the better one has had its chance", got)
		}
		before := time.Now()
		loses(b, c)
		if got := c.state("VI_1"); got != vrrp.Active || !time.Now().Equal(before) {
			t.Errorf("c is %s when nobody else is left", got)
		}
	})
}

// One that goes first and does not, though it has lost the Active too, is passed over when
// it has had its chance.
func TestTheNextOneWaitsForItsChance(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		a.isolate(true)
		said := c.peerIs(b.addr).Said
		said.Hello.Routers = slices.Clone(said.Hello.Routers)
		said.Hello.Routers[0].Standing = membership.Seeking
		c.post(w.t.Context(), peerSpoke{said})
		loses(a, c)
		pass(chance - time.Millisecond)
		if got := c.state("VI_1"); got != vrrp.Backup {
			t.Errorf("c is %s before b has had its chance", got)
		}
		pass(2 * time.Millisecond)
		if got := c.state("VI_1"); got != vrrp.Active {
			t.Errorf("c is %s after b has had its chance", got)
		}
	})
}

// A host that has lost the Active alone leaves it where it is: the others would know.
func TestOneLostLinkMovesNothing(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, c := w.settled()[0], w.fleet[2]
		c.reach.lose(a.testHost)
		loses(a, c)
		c.buried(a.addr)
		pass(30 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup, vrrp.Backup)
		if got := c.journalled("transition"); len(got) != 1 {
			t.Errorf("c moved: %q", got)
		}
	})
}

// Without any word of where a peer stands, as from an earlier release, the skew keeps
// hosts apart.
func TestUnknownStandingLeavesTheSkew(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		a.isolate(true)
		for _, h := range []*fleetHost{b, c} {
			for _, p := range h.cfg.Peers {
				said := h.peerIs(p).Said
				said.Hello.Routers = nil
				h.post(w.t.Context(), peerSpoke{said})
			}
			loses(a, h)
		}
		skew := time.Second * (256 - 103) / 256
		pass(skew - time.Millisecond)
		if b.state("VI_1") != vrrp.Backup || c.state("VI_1") != vrrp.Backup {
			t.Error("took over before its skew")
		}
		pass(2 * time.Millisecond)
		if b.state("VI_1") != vrrp.Active || c.state("VI_1") != vrrp.Backup {
			t.Errorf("b is %s, c is %s; want the better one active", b.state("VI_1"), c.state("VI_1"))
		}
	})
}

// A planned stop in a group hands over without a moment in which nobody is Active.
func TestPlannedStopInAGroup(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		before := time.Now()
		a.stop()
		<-a.done
		if b.state("VI_1") != vrrp.Active || c.state("VI_1") != vrrp.Backup || !time.Now().Equal(before) {
			t.Errorf("b is %s, c is %s after %v", b.state("VI_1"), c.state("VI_1"), time.Since(before))
		}
		if got := b.journalled("transition"); len(got) != 2 {
			t.Errorf("b's journal: %q", got)
		}
	})
}

// A false alarm moves the VIP and comes to rest, and no flow is given up on the way,
// whichever host is the first to find the other one there.
func TestFalseAlarm(t *testing.T) {
	for _, first := range []int{0, 1} {
		t.Run(string('a'+rune(first))+" first", func(t *testing.T) {
			inFleet(t, members(2), func(w *fleetWorld) {
				a, b := w.settled()[0], w.fleet[1]
				a.isolate(true)
				loses(a, b)
				loses(b, a)
				b.goodFor(a.addr, steering.Drain)
				a.goodFor(b.addr, steering.Drain)
				pass(20 * time.Millisecond)
				a.isolate(false)
				w.expect(vrrp.Active, vrrp.Active)
				one, other := w.fleet[first], w.fleet[1-first]
				one.live(other.addr, bfd.Down, bfd.Up)
				other.live(one.addr, bfd.Down, bfd.Up)
				b.goodFor(a.addr, steering.Up)
				w.expect(vrrp.Active, vrrp.Backup) // without a wait for the next advert
				pass(2 * time.Second)
				w.expect(vrrp.Active, vrrp.Backup)
				if got := b.journalled("peer"); !strings.HasSuffix(got[len(got)-1], "(10.0.0.1) is there after all: suspected without need, its flows went there all the while") {
					t.Errorf("journal ends with %q", got[len(got)-1])
				}
			})
		})
	}
}
