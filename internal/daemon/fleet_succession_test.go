// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/config"
	"hafast/internal/membership"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

// The predecessor's targets and tables stay until enough is known to replace them.
func TestHoldUntilInformed(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.fleet[0], w.fleet[1]
		pass(100 * time.Millisecond)
		if !a.desiredState().Hold {
			t.Error("does not know what haproxy serves, and acts on it")
		}
		a.post(w.t.Context(), servicesFound{})
		if a.desiredState().Hold {
			t.Error("holds back though all is known")
		}
		b.isolate(true)
		if !b.desiredState().Hold {
			t.Error("the other has not looked yet")
		}
	})
}

// Whoever is not heard of for long is not waited for.
func TestHoldEnds(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.fleet[0]
		a.post(w.t.Context(), servicesFound{[]config.Service{{VIP: vip, Port: 80, Proto: "tcp"}}})
		pass(initialSyncWindow - time.Millisecond)
		if !a.desiredState().Hold {
			t.Error("did not wait for its peer")
		}
		pass(2 * time.Millisecond)
		if a.desiredState().Hold {
			t.Errorf("waits for a peer that has not been heard of for %v", initialSyncWindow)
		}
		if got := a.target(w4(2)).State; got != steering.Down {
			t.Errorf("a peer that nothing was heard of is %s", got)
		}
	}, mutes(w4(1), w4(2)))
}

func resuming(h *fleetHost) {
	if h.addr == w4(1) {
		h.resume = map[string]bool{"VI_1": true}
		h.owns["VI_1"] = true // where the predecessor has left it
	}
}

func TestResumeWaitsForTheChecks(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.fleet[0]
		pass(300 * time.Millisecond)
		if a.state("VI_1") != vrrp.Init || !a.has("VI_1") {
			t.Errorf("is %s before the checks have answered", a.state("VI_1"))
		}
		a.haproxy(true, "running")
		w.expect(vrrp.Active, vrrp.Backup)
		if got := a.journalled("transition"); len(got) != 1 || got[0] != "init>active resumed in the place of its predecessor" {
			t.Errorf("journal: %q", got)
		}
		pass(2 * time.Second)
		w.expect(vrrp.Active, vrrp.Backup)
	}, resuming)
}

// A check may take longer than the wait for the peers. Nobody is told or listened to
// before the instances begin: that wait begins with them, lest flows be taken from
// peers that could not be heard.
func TestSlowCheckLeavesThePeersTheirTime(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a, b := w.fleet[0], w.fleet[1]
		for _, h := range w.fleet {
			h.post(w.t.Context(), servicesFound{[]config.Service{{VIP: vip, Port: 80, Proto: "tcp"}}})
		}
		pass(initialSyncWindow + 100*time.Millisecond)
		a.haproxy(true, "running")
		if got := a.state("VI_1"); got != vrrp.Active {
			t.Fatalf("is %s", got)
		}
		pass(100 * time.Millisecond)
		if !a.desiredState().Hold {
			t.Error("did not wait for its peer")
		}
		b.reach.set(false, false)
		b.on(func(time.Time) { b.exchange.tell() })
		synctest.Wait()
		if got := a.target(b.addr).State; a.desiredState().Hold || got == steering.Up {
			t.Errorf("hold %t, the peer that waits for its checks is %s", a.desiredState().Hold, got)
		}
		b.haproxy(true, "running")
		if got := a.target(b.addr).State; got != steering.Up {
			t.Errorf("the peer is %s", got)
		}
	}, resuming, mutes(w4(1), w4(2)))
}

// A daemon that stood still before its checks have answered may find that somebody else
// is Active.
func TestLapseEndsTheResumption(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.fleet[0]
		a.pause(300 * time.Millisecond)
		pass(300*time.Millisecond + leaseEvery)
		a.haproxy(true, "running")
		w.expect(vrrp.Backup, vrrp.Backup)
		if a.has("VI_1") {
			t.Error("keeps what the predecessor has left")
		}
		if got := a.journalled("lapse"); len(got) != 1 {
			t.Errorf("journal: %q", got)
		}
	}, resuming)
}

// A check that takes too long is down, and the VIP goes back.
func TestResumeDoesNotWaitForEver(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		w.fleet[1].haproxy(true, "running")
		pass(resumePatience - time.Millisecond)
		if got := w.fleet[0].state("VI_1"); got != vrrp.Init {
			t.Errorf("is %s while it waits", got)
		}
		pass(2 * time.Millisecond)
		w.expect(vrrp.Backup, vrrp.Backup)
		pass(10 * time.Second)
		w.expect(vrrp.Backup, vrrp.Active)
	}, resuming)
}

// So does one that finds its haproxy dead.
func TestResumeWithoutHAProxy(t *testing.T) {
	inFleet(t, members(2), func(w *fleetWorld) {
		w.fleet[1].haproxy(true, "running")
		w.fleet[0].haproxy(false, "gone")
		w.expect(vrrp.Backup, vrrp.Backup)
	}, resuming)
}

// Where there is nothing to check, there is nothing to wait for.
func TestResumeWithoutChecks(t *testing.T) {
	var configs []string
	for _, text := range members(2) {
		configs = append(configs, strings.Replace(text, "haproxy: {}", "haproxy: off", 1))
	}
	inFleet(t, configs, func(w *fleetWorld) {
		synctest.Wait()
		w.expect(vrrp.Active, vrrp.Backup)
	}, resuming)
}

// A successor on this host finds all as it was, and a lease that lasts until then.
func TestHandOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fleetWorld{world: &world{t: t}}
		w.add(w4(1), strings.Replace(member(1, 1), "peers: []", "", 1))
		a := w.join(w.hosts[0])
		leaving, leave := context.WithCancel(t.Context())
		go func() {
			defer close(a.done)
			a.start(time.Now())
			a.loop.run(context.Background(), context.Background(), leaving)
		}()
		a.haproxy(true, "running")
		pass(5 * time.Second)
		w.expect(vrrp.Active)
		leave()
		<-a.done
		w.expect(vrrp.Active)
		if left := time.Until(a.path.until); left != handoffLease || !a.handedOff || !a.path.serving {
			t.Errorf("lease for another %v, handed off %t, serving %t", left, a.handedOff, a.path.serving)
		}
		if a.exchange.self.State == membership.Stopping {
			t.Error("the peers were told of a stop")
		}
	})
}
