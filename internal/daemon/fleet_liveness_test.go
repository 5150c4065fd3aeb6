// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

func TestDeadActiveIsFollowedAtOnce(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.isolate(true)
		before := time.Now()
		b.live(a.addr, bfd.Up, bfd.Down)
		if b.state("VI_1") != vrrp.Active || !b.has("VI_1") || !time.Now().Equal(before) {
			t.Errorf("the Backup is %s %v after the Active's death", b.state("VI_1"), time.Since(before))
		}
		want := "backup>active 10.0.0.1 is dead or out of service"
		if got := b.journalled("transition"); got[len(got)-1] != want {
			t.Errorf("journal ends with %q, want %q", got[len(got)-1], want)
		}
		b.goodFor(a.addr, steering.Drain) // its flows go there until its death is certain
		b.buried(a.addr)
		b.goodFor(a.addr, steering.Down)
		if got := b.journalled("peer"); !strings.Contains(got[len(got)-1], "suspect>host_dead") {
			t.Errorf("journal ends with %q", got[len(got)-1])
		}
	})
}

// Death of a host that is not Active moves nothing.
func TestDeadBackupMovesNothing(t *testing.T) {
	inFleet(t, members(3), func(w *fleetWorld) {
		a, b, c := w.settled()[0], w.fleet[1], w.fleet[2]
		b.isolate(true)
		a.live(b.addr, bfd.Up, bfd.Down)
		c.live(b.addr, bfd.Up, bfd.Down)
		pass(time.Second)
		if a.state("VI_1") != vrrp.Active || c.state("VI_1") != vrrp.Backup || len(c.journalled("transition")) != 1 {
			t.Errorf("a is %s, c is %s", a.state("VI_1"), c.state("VI_1"))
		}
		a.buried(b.addr)
		if a.target(b.addr).State != steering.Down || a.target(c.addr).State != steering.Up {
			t.Error("flows do not follow")
		}
	})
}

func TestActiveOutOfServiceIsFollowedAtOnce(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.isolate(true) // its daemon is stuck, its data path answers
		b.live(a.addr, bfd.Up, bfd.AdminDown)
		if b.state("VI_1") != vrrp.Active {
			t.Errorf("the Backup is %s", b.state("VI_1"))
		}
		if got := b.target(a.addr).State; got != steering.Drain {
			t.Errorf("flows of the one out of service: %s, want drain", got)
		}
		b.on(func(time.Time) {
			if got := b.path.states[a.addr]; got != steering.Drain {
				t.Errorf("the data path has %s, want drain", got)
			}
		})
	})
}

func TestWithBothOutOfServiceTheVIPStays(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.haproxy(false, "gone")
		a.live(b.addr, bfd.Up, bfd.AdminDown)
		a.haproxy(false, "gone too")
		b.live(a.addr, bfd.Up, bfd.AdminDown)
		pass(10 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
		if a.said().Reason != "haproxy: gone too" {
			t.Errorf("a says %q", a.said().Reason)
		}
		if len(a.journalled("transition")) != 2 || len(b.journalled("transition")) != 1 {
			t.Errorf("moved: %q, %q", a.journalled("transition"), b.journalled("transition"))
		}
		b.haproxy(true, "back")
		a.live(b.addr, bfd.AdminDown, bfd.Up)
		pass(2 * time.Second)
		w.expect(vrrp.Backup, vrrp.Active)
	})
}

// obeyAfter is how long the adverts of a host that answers no probes count for nothing.
const obeyAfter = time.Second

// What a host that answers no probes still sends counts for nothing, for a while:
// then it is taken to be alive.
func TestAdvertsOfTheDead(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.live(a.addr, bfd.Up, bfd.Down)
		if b.state("VI_1") != vrrp.Active {
			t.Fatalf("b is %s", b.state("VI_1"))
		}
		pass(obeyAfter - time.Millisecond)
		if b.state("VI_1") != vrrp.Active || b.peerIs(a.addr).Session != bfd.Down {
			t.Errorf("obeyed the dead: %s, live %s", b.state("VI_1"), b.peerIs(a.addr).Session)
		}
		pass(2 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
		p := b.peerIs(a.addr)
		if p.Session != bfd.Unmonitored || p.State().Target() != steering.Up {
			t.Errorf("live %s, good for %s; want none, up", p.Session, p.State().Target())
		}
		got := b.journalled("liveness")
		if !strings.Contains(got[len(got)-1], "goes on advertising") {
			t.Errorf("journal: %q", got)
		}

		// Its session may come to life again, and end again.
		b.live(a.addr, bfd.Down, bfd.Up)
		a.isolate(true)
		b.live(a.addr, bfd.Up, bfd.Down)
		if b.state("VI_1") != vrrp.Active {
			t.Errorf("b is %s after the second death", b.state("VI_1"))
		}
	})
}

// A peer that is taken out of the configuration while it is dead may still be a
// VRRP router.
func TestAdvertsOfAFormerPeerCount(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.isolate(true)
		b.live(a.addr, bfd.Up, bfd.Down)
		b.reload(strings.Replace(member(2, 2), "peers: [10.0.0.1]", "", 1))
		a.isolate(false)
		pass(5 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

// A Backup at which nothing arrives takes no part, lest it be a second Active.
func TestReceiveDeadBackup(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.isolate(true)
		b.liveWith(a.addr, bfd.Up, bfd.Down, receiveDeadEvidence)
		pass(10 * time.Second)
		w.expect(vrrp.Active, vrrp.Fault)
		if got := b.journalled("transition"); got[len(got)-1] != "backup>fault "+receiveDeadFault {
			t.Errorf("journal ends with %q", got[len(got)-1])
		}
		b.isolate(false)
		b.on(func(time.Time) { b.path.frames++ })
		pass(leaseEvery)
		w.expect(vrrp.Active, vrrp.Backup)
		b.live(a.addr, bfd.Down, bfd.Up)
		pass(10 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

// The witness's answer ends the doubt as well.
func TestWitnessEndsTheDoubt(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.isolate(true)
		b.liveWith(a.addr, bfd.Up, bfd.Down, receiveDeadEvidence)
		pass(time.Second)
		w.expect(vrrp.Active, vrrp.Fault)
		b.on(func(time.Time) { b.path.witness++ })
		pass(leaseEvery)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

// On a quiet network the witness may answer a moment after the last peer was given
// up. It was dead all the same, and nobody is to wait for its adverts.
func TestSecondLook(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		a.isolate(true)
		b.liveWith(a.addr, bfd.Up, bfd.Down, receiveDeadEvidence)
		pass(3 * time.Millisecond)
		b.on(func(time.Time) { b.path.witness++ })
		b.liveWith(a.addr, bfd.Down, bfd.Down, bfd.Evidence{Witness: bfd.Answered})
		pass(2 * leaseEvery)
		if b.state("VI_1") != vrrp.Active {
			t.Errorf("b is %s %v after the witness has answered, want active", b.state("VI_1"), 2*leaseEvery)
		}
	})
}

// A host that is only starting is out of service too: that nobody is Active yet is no
// reason to skip the start-up wait.
func TestPeerThatStartsPromotesNobody(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.fleet[0], w.fleet[1]
		b.haproxy(true, "pid 1")
		b.liveWith(a.addr, bfd.Unknown, bfd.AdminDown, bfd.Evidence{})
		pass(2 * leaseEvery)
		if b.state("VI_1") != vrrp.Backup {
			t.Errorf("b is %s while a starts, want backup", b.state("VI_1"))
		}
	})
}

// An Active whose only peer dies on a quiet network, with a witness that takes its
// time, is to stay: there is nobody to give the VIP to.
func TestActiveOutlivesItsPeerInSilence(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.isolate(true)
		a.liveWith(b.addr, bfd.Up, bfd.Down, receiveDeadEvidence)
		pass(10 * time.Millisecond)
		a.on(func(time.Time) { a.path.frames++ })
		pass(2 * leaseEvery)
		if got := a.journalled("transition"); a.state("VI_1") != vrrp.Active || len(got) != 2 {
			t.Errorf("the Active is %s: %q", a.state("VI_1"), got)
		}
	})
}

// withTwoAddresses are two hosts that know each other by an address of each family.
func withTwoAddresses() []string {
	return []string{
		strings.Replace(member(1, 2), "peers: [10.0.0.2]", "peers: [10.0.0.2, 'fd00::2']", 1),
		strings.Replace(member(2, 2), "peers: [10.0.0.1]", "peers: [10.0.0.1, 'fd00::1']", 1),
	}
}

func TestAliasesCountOnce(t *testing.T) {
	inFleet(t, withTwoAddresses(), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		if got := b.desiredState(); len(got.Targets) != 2 || len(got.Peers) != 2 {
			t.Errorf("targets %v of peers %v; want two of two", got.Targets, got.Peers)
		}
		if got := b.prober.peers; len(got) != 2 || got[0].Slot == got[1].Slot || got[1].Source != b.addrs[1] {
			t.Errorf("probed: %v", got)
		}
		a.isolate(true)
		b.live(a.addrs[0], bfd.Up, bfd.Down)
		b.live(a.addrs[1], bfd.Up, bfd.Down)
		if b.state("VI_1") != vrrp.Active {
			t.Errorf("b is %s: it waited for its dead peer's other address", b.state("VI_1"))
		}
	})
}

// A host that answers at one of its addresses is not dead.
func TestHalfAHostLives(t *testing.T) {
	inFleet(t, withTwoAddresses(), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		b.liveWith(a.addrs[1], bfd.Up, bfd.Down, bfd.Evidence{Alive: 1})
		pass(10 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
		if got := b.target(a.addr).State; got != steering.Up {
			t.Errorf("its haproxy is %s", got)
		}
		b.liveWith(a.addrs[1], bfd.Down, bfd.Up, bfd.Evidence{})
		b.liveWith(a.addrs[0], bfd.Up, bfd.Down, bfd.Evidence{Alive: 1})
		pass(10 * time.Millisecond)
		w.expect(vrrp.Active, vrrp.Backup)
	})
}

// A host stays one target while its hellos change from one start to the next.
func TestAliasesOfARestartedPeer(t *testing.T) {
	inFleet(t, withTwoAddresses(), func(w *fleetWorld) {
		a, b := w.settled()[0], w.fleet[1]
		hello := a.said()
		hello.Boot = 77
		said := b.peerIs(a.addr).Said
		said.Hello = hello
		b.events <- peerSpoke{said} // over IPv4; the one over IPv6 follows
		b.on(func(time.Time) {})
		if got := b.desiredState().Targets; len(got) != 2 {
			t.Errorf("%d targets between two hellos, want 2: %v", len(got), got)
		}
	})
}

// Whoever the prober no longer knows is passed over.
func TestLivenessOfAStranger(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		b := w.settled()[1]
		before := len(b.journalled("liveness"))
		b.live(w.fleet[1].addr, bfd.Up, bfd.Down)
		if got := b.journalled("liveness"); len(got) != before {
			t.Errorf("journal: %q", got)
		}
		w.expect(vrrp.Active, vrrp.Backup)
	})
}
