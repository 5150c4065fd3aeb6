// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"fmt"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream/simnet"
)

// TestAuditMendsAndMeasures: what was lost behind the engine's back is mended within a
// period, and counted as what it was.
func TestAuditMendsAndMeasures(t *testing.T) {
	r := newRig(t, shape{audit: 5 * time.Second})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 1000, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	a.table.drop(keyOf(1, vip1)) // a lost delete
	a.table.put(record.Flow{Key: keyOf(2, vip1), Target: hostB}, 0)
	b.table.drop(keyOf(3, vip1))
	b.table.drop(keyOf(4, vip1))
	b.table.put(record.Flow{Key: keyOf(5, vip2), Target: hostB}, 0) // not of the scope
	r.net.Run(12 * time.Second)
	r.alike(a, vip1)
	want := conntrack.Diverged{Missing: 2, Different: 1, Stale: 1}
	if got := b.peer(0).Flows.Taken.Diverged; got != want {
		t.Errorf("diverged are %+v, not %+v", got, want)
	}
	if _, ok := b.table.get(keyOf(5, vip2)); !ok {
		t.Error("a flow to another VIP is gone")
	}
	if p := a.peer(1); len(p.Resyncs) != 1 {
		t.Errorf("resyncs are %v", p.Resyncs)
	}
}

// TestAuditFindsNothingUnderChurn: what is merely under way is no divergence, even when
// this host hears of its own changes late.
func TestAuditFindsNothingUnderChurn(t *testing.T) {
	for _, c := range []struct {
		name string
		loss float64
		late time.Duration // between a change and its news
	}{
		{"good link", 0, 0}, {"loss", 0.1, 0}, {"late news", 0, 4 * time.Millisecond}, {"both", 0.1, 4 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, shape{seed: 3, audit: 2 * time.Second, link: simnet.Link{Delay: 200 * time.Microsecond, Loss: c.loss}})
			a, b := r.hosts[0], r.hosts[1]
			a.fill(0, 5000, vip1)
			a.hold(vip1, vip6)
			r.settle(5 * time.Second)
			for i := range 50_000 {
				r.net.Run(200 * time.Microsecond)
				a.later(c.late, conntrack.Created, record.Flow{Key: keyOf(5000+i, vip1), Target: hostA})
				a.later(c.late, conntrack.Deleted, record.Flow{Key: keyOf(i, vip1)})
				// Others live for 20 ms, and lie where the walk ends.
				a.later(c.late, conntrack.Created, record.Flow{Key: keyOf(i, vip6), Target: hostA})
				a.later(c.late, conntrack.Deleted, record.Flow{Key: keyOf(i-100, vip6)})
				// And some do not live long enough to be told.
				short := record.Flow{Key: keyOf(100_000+i, vip6), Target: hostA}
				a.later(c.late, conntrack.Created, short)
				r.net.After(time.Millisecond, func() { a.later(c.late, conntrack.Deleted, short) })
			}
			r.settle(time.Second)
			r.alike(a, vip1)
			p := b.peer(0)
			if d := p.Flows.Taken.Diverged; d != (conntrack.Diverged{}) {
				t.Errorf("diverged are %+v", d)
			}
			if walks := a.peer(1).Flows.Told.Walks; walks < 4 {
				t.Errorf("%d walks", walks)
			}
		})
	}
}

// later changes a flow in the table now, and tells the engine in a while.
func (h *host) later(d time.Duration, n conntrack.News, f record.Flow) {
	if n == conntrack.Deleted {
		h.table.drop(f.Key)
	} else {
		h.table.put(f, 0)
	}
	h.rig.net.After(d, func() {
		h.engine.Flow(h.now(), n, &f)
		h.step()
	})
}

// TestAuditRefreshes: replicas do not grow older than what they are copies of.
func TestAuditRefreshes(t *testing.T) {
	r := newRig(t, shape{audit: 10 * time.Second})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 10, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	for range 60 {
		r.net.Run(time.Second)
		f := mustGet(t, a, 3)
		f.Idle = 0
		a.table.put(f, 0)
	}
	busy, idle := mustGet(t, b, 3), mustGet(t, b, 4)
	if busy.Idle > 11*time.Second {
		t.Errorf("a busy flow is idle for %v", busy.Idle)
	}
	if d := (idle.Idle - mustGet(t, a, 4).Idle).Abs(); d > 2*time.Second {
		t.Errorf("an idle flow is idle for %v, %v off", idle.Idle, d)
	}
}

// TestAuditIsSpread: an audit comes evenly, and is done within its period.
func TestAuditIsSpread(t *testing.T) {
	r := newRig(t, shape{audit: 10 * time.Second, link: quickLink})
	a := r.hosts[0]
	a.fill(0, 50_000, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Run(9 * time.Second)
	walked := a.peer(1).Flows.Told.Walked
	for i := range 9 {
		r.net.Run(time.Second)
		now := a.peer(1).Flows.Told.Walked
		if n := now - walked; i > 0 && i < 8 && (n < 4500 || n > 5500) {
			t.Errorf("%d records in second %d of an audit of 50000 in 10 s", n, i)
		}
		walked = now
	}
	r.net.Run(3 * time.Second)
	if walks := a.peer(1).Flows.Told.Walks; walks != 2 {
		t.Errorf("%d walks in 21 s", walks)
	}
}

func TestAuditIsNoFasterThanItsRate(t *testing.T) {
	r := newRig(t, shape{audit: time.Second, limits: conntrack.Limits{AuditRate: 2000}})
	a := r.hosts[0]
	a.fill(0, 20_000, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Run(2 * time.Second)
	before := a.peer(1).Flows.Told.Walked
	r.net.Run(4 * time.Second)
	if n := a.peer(1).Flows.Told.Walked - before; n < 7500 || n > 8500 {
		t.Errorf("%d records in 4 s at 2000/s", n)
	}
}

// TestCreatedAndGone: flows that come and go between two steps do not travel.
func TestCreatedAndGone(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Run(200 * time.Millisecond)
	before := b.table.applied
	for i := range 500 {
		r.net.Run(50 * time.Microsecond)
		f := record.Flow{Key: keyOf(i, vip1), Target: hostA}
		a.note(conntrack.Created, f)
		if i%2 == 0 {
			f.Closing = true
			a.news(conntrack.Changed, f)
		} else {
			a.news(conntrack.Deleted, f)
		}
	}
	r.net.Run(10 * time.Millisecond)
	if n := b.table.applied - before; n != 0 {
		t.Errorf("%d records of 500 short flows travelled", n)
	}
	if p := a.peer(1); p.Flows.Told.Skipped != 500 || p.Backlog != 0 {
		t.Errorf("%+v, backlog %d", p.Flows.Told, p.Backlog)
	}
	// What lives on is told by the next audit, and is no divergence.
	r.net.Run(130 * time.Second)
	r.alike(a, vip1)
	if d := b.peer(0).Flows.Taken.Diverged; d != (conntrack.Diverged{}) {
		t.Errorf("diverged are %+v", d)
	}
}

// TestFlapFasterThanTheWalk: a VIP that moves to and fro before a walk can end.
func TestFlapFasterThanTheWalk(t *testing.T) {
	r := newRig(t, shape{
		audit: 5 * time.Second,
		link:  simnet.Link{Delay: time.Millisecond, Rate: 5000, Queue: 1000, Loss: 0.05},
	})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 50_000, vip1)
	a.fill(0, 1000, vip2)
	a.hold(vip1, vip2)
	for i := range 40 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		from.hold()
		to.hold(vip1)
		to.churn(60_000+i*100, 100, vip1)
	}
	b.hold()
	a.hold(vip1, vip2)
	r.net.Run(15 * time.Second)
	r.settle(5 * time.Second)
	r.alike(a, vip1, vip2)
	if len(a.table.index) < 50_000 {
		t.Errorf("%d flows are left", len(a.table.index))
	}
}

// TestSplitBrain: both hosts are Active and cannot hear each other; afterwards each flow
// is as the host has it that saw its last packet.
func TestSplitBrain(t *testing.T) {
	for _, healFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("resigns after the link is back: ", healFirst), func(t *testing.T) {
			r := newRig(t, shape{audit: 5 * time.Second})
			a, b := r.hosts[0], r.hosts[1]
			a.fill(0, 2000, vip1)
			a.hold(vip1)
			r.settle(time.Second)
			r.net.Link(0, 1).Down, r.net.Link(1, 0).Down = true, true
			b.hold(vip1)
			r.net.Run(20 * time.Second)
			// Each has packets of some; of 0-99 first b, then a, of 100-199 first a.
			touch := func(h *host, from, to int, target record.Address) {
				for i := from; i < to; i++ {
					h.news(conntrack.Changed, record.Flow{Key: keyOf(i, vip1), Target: target})
				}
			}
			touch(b, 0, 100, hostB)
			touch(a, 100, 200, hostA)
			r.net.Run(5 * time.Second)
			touch(a, 0, 100, hostA)
			touch(b, 100, 200, hostB)
			touch(b, 5000, 5100, hostB)
			if !healFirst {
				b.hold()
			}
			r.net.Link(0, 1).Down, r.net.Link(1, 0).Down = false, false
			r.net.Run(5 * time.Millisecond)
			if healFirst {
				b.hold()
			}
			r.net.Run(12 * time.Second)
			r.settle(time.Second)
			r.alike(a, vip1)
			for i, want := range map[int]record.Address{50: hostA, 150: hostB, 5050: hostB} {
				if got := mustGet(t, a, i).Target; got != want {
					t.Errorf("flow %d goes to %v, not to %v who had its last packet", i, got, want)
				}
			}
		})
	}
}

// TestHandOver: the next Active can tell when it has all that the former one had.
func TestHandOver(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, shape{seed: seed, link: simnet.Link{Delay: 300 * time.Microsecond, Loss: 0.1, Reorder: 0.1, Late: time.Millisecond}})
		a, b := r.hosts[0], r.hosts[1]
		a.hold(vip1, vip2)
		r.settle(5 * time.Second)
		a.churn(0, 300, vip1)
		if b.engine.Settled(b.now(), a.addr, vip1) {
			t.Fatalf("seed %d: settled while host 0 is Active", seed)
		}
		began := r.net.Now()
		a.hold(vip2)
		if !r.net.RunUntil(time.Second, func() bool { return b.engine.Settled(b.now(), a.addr, vip1) }) {
			t.Fatalf("seed %d: never settled\n%s", seed, r.describe())
		}
		if took := r.net.Now().Sub(began); took > 100*time.Millisecond {
			t.Errorf("seed %d: settled after %v", seed, took)
		}
		r.alike(a, vip1)
		if b.engine.Settled(b.now(), a.addr, vip2) {
			t.Errorf("seed %d: settled for a VIP that host 0 holds", seed)
		}
		b.hold(vip1)
		b.churn(1000, 300, vip1)
		news := a.peer(1).Flows.Told.News
		a.news(conntrack.Deleted, record.Flow{Key: keyOf(1299, vip1)}) // no business of its
		r.settle(time.Second)
		if n := a.peer(1).Flows.Told.News - news; n > 0 {
			t.Errorf("seed %d: a Backup has told that a flow is gone", seed)
		}
	}
}

func TestThreeHosts(t *testing.T) {
	r := newRig(t, shape{seed: 5, hosts: 3, audit: 5 * time.Second, link: simnet.Link{Delay: 300 * time.Microsecond, Loss: 0.05}})
	a, b, c := r.hosts[0], r.hosts[1], r.hosts[2]
	a.fill(0, 3000, vip1)
	b.fill(0, 3000, vip2)
	b.fill(0, 100, vip6)
	a.hold(vip1)
	b.hold(vip2, vip6)
	r.settle(5 * time.Second)
	a.churn(3000, 500, vip1)
	b.churn(3000, 500, vip2)
	r.settle(5 * time.Second)
	r.alike(a, vip1)
	r.alike(b, vip2, vip6)

	a.die()
	c.hold(vip1)
	c.churn(6000, 500, vip1)
	r.net.Run(4 * time.Second)
	if st := c.engine.Status(c.now()); st.Bare || st.Unprotected != 0 {
		t.Errorf("unprotected %d, bare %v, with one of two peers there", st.Unprotected, st.Bare)
	}
	a.start()
	r.settle(10 * time.Second)
	r.alike(c, vip1)
	r.alike(b, vip2, vip6)
	if n := len(c.table.index); n < 6000 {
		t.Errorf("%d flows are left", n)
	}
}
