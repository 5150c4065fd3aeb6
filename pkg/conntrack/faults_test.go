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

// churn has flows of a host come, change and go for a while, each 100 us one.
func (h *host) churn(from, n int, vip record.Address) {
	for i := from; i < from+n; i++ {
		h.rig.net.Run(100 * time.Microsecond)
		h.open(keyOf(i, vip), hostA)
		switch old := i - 50; {
		case old < from:
		case old%3 == 0:
			h.news(conntrack.Deleted, record.Flow{Key: keyOf(old, vip)})
		case old%3 == 1:
			h.news(conntrack.Changed, record.Flow{Key: keyOf(old, vip), Target: hostB})
		}
	}
}

func TestBadLinks(t *testing.T) {
	base := simnet.Link{Delay: 200 * time.Microsecond, Jitter: 50 * time.Microsecond}
	with := func(change func(*simnet.Link)) simnet.Link {
		l := base
		change(&l)
		return l
	}
	for _, c := range []struct {
		name string
		link simnet.Link
		lag  time.Duration // P99, at most
	}{
		{"good", base, 15 * time.Millisecond},
		{"1 % loss", with(func(l *simnet.Link) { l.Loss = 0.01 }), 25 * time.Millisecond},
		{"10 % loss", with(func(l *simnet.Link) { l.Loss = 0.10 }), 60 * time.Millisecond},
		{"50 % loss", with(func(l *simnet.Link) { l.Loss = 0.50 }), 500 * time.Millisecond},
		{"reorder", with(func(l *simnet.Link) { l.Reorder, l.Late = 0.3, 3*time.Millisecond }), 25 * time.Millisecond},
		{"duplicates", with(func(l *simnet.Link) { l.Duplicate = 0.5 }), 15 * time.Millisecond},
		{"all at once", with(func(l *simnet.Link) {
			l.Loss, l.Duplicate, l.Reorder, l.Late, l.Jitter = 0.2, 0.2, 0.2, 5*time.Millisecond, 2*time.Millisecond
		}), 200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, shape{seed: 1, link: c.link})
			a := r.hosts[0]
			a.fill(0, 5000, vip1)
			a.hold(vip1)
			a.churn(5000, 5000, vip1)
			r.settle(10 * time.Second)
			r.alike(a, vip1)
			p := a.peer(1)
			if p.Lag.P99 > c.lag {
				t.Errorf("lag is %+v, over %v", p.Lag, c.lag)
			}
			if p.Resyncs[conntrack.ReasonStart] != 1 || len(p.Resyncs) != 1 {
				t.Errorf("resyncs are %v", p.Resyncs)
			}
			t.Logf("lag %+v, %d of %d batches resent", p.Lag, p.Resent, p.Sent.Datagrams)
		})
	}
}

// TestOneWayLink: a host that does not hear whether it is heard takes nothing for told,
// and the other one does not believe itself in sync.
func TestOneWayLink(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Link(1, 0).Down = true
	a.churn(0, 1000, vip1)
	r.net.Run(5 * time.Second)
	if st := a.engine.Status(a.now()); !st.Bare || st.Peers[0].State != conntrack.Connecting {
		t.Errorf("host 0 says %+v", st)
	}
	if got := b.state(0); got != conntrack.Syncing {
		t.Errorf("host 1 is %v", got)
	}
	sent := r.net.LinkCounts(0, 1).Sent
	r.net.Run(10 * time.Second)
	if n := r.net.LinkCounts(0, 1).Sent - sent; n > 250 {
		t.Errorf("%d datagrams in 10 s to a peer that is not heard", n)
	}
	r.net.Link(1, 0).Down = false
	r.settle(2 * time.Second)
	r.alike(a, vip1)
	if p := a.peer(1); p.Resyncs[conntrack.ReasonSilent] != 1 {
		t.Errorf("resyncs are %v", p.Resyncs)
	}
}

// TestShortSilence: what the outbox and the stream can hold needs no resync.
func TestShortSilence(t *testing.T) {
	r := newRig(t, shape{})
	a := r.hosts[0]
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Link(0, 1).Down, r.net.Link(1, 0).Down = true, true
	a.churn(0, 10_000, vip1)
	r.net.Run(1500 * time.Millisecond)
	if st := a.engine.Status(a.now()); st.Unprotected < 5000 {
		t.Errorf("unprotected are %d", st.Unprotected)
	}
	r.net.Link(0, 1).Down, r.net.Link(1, 0).Down = false, false
	r.settle(2 * time.Second)
	r.alike(a, vip1)
	if p := a.peer(1); len(p.Resyncs) != 1 {
		t.Errorf("resyncs are %v", p.Resyncs)
	}
	// What has waited in the outbox has grown older there.
	theirs, mine := mustGet(t, r.hosts[1], 9999), mustGet(t, a, 9999)
	if off := (mine.Idle - theirs.Idle).Abs(); off > 1100*time.Millisecond {
		t.Errorf("idle for %v, not for %v", theirs.Idle, mine.Idle)
	}
}

func TestOverflowLeadsToResync(t *testing.T) {
	r := newRig(t, shape{limits: conntrack.Limits{Outbox: 500}})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	r.net.Link(0, 1).Down = true
	a.churn(0, 10_000, vip1)
	if st := a.engine.Status(a.now()); !st.Bare {
		t.Errorf("unprotected are %d", st.Unprotected)
	}
	r.net.Link(0, 1).Down = false
	r.net.RunUntil(time.Second, func() bool { return b.state(0) == conntrack.Syncing })
	r.settle(5 * time.Second)
	r.alike(a, vip1)
	if p := a.peer(1); p.Resyncs[conntrack.ReasonOverflow] == 0 {
		t.Errorf("resyncs are %v", p.Resyncs)
	}
}

// TestOverflowForLong: while a peer cannot keep up, it is not told everything over and
// over.
func TestOverflowForLong(t *testing.T) {
	r := newRig(t, shape{
		limits: conntrack.Limits{Outbox: 200},
		link:   simnet.Link{Delay: 100 * time.Microsecond, Rate: 50, Queue: 20},
	})
	a := r.hosts[0]
	a.fill(0, 20_000, vip1)
	a.hold(vip1)
	for i := range 100 {
		a.churn(20_000+i*2000, 2000, vip1)
	}
	p := a.peer(1)
	if n := p.Resyncs[conntrack.ReasonOverflow]; n < 2 || n > 12 {
		t.Errorf("%d resyncs in 20 s of overload", n)
	}
	*r.net.Link(0, 1), *r.net.Link(1, 0) = quickLink, quickLink
	r.settle(30 * time.Second)
	r.alike(a, vip1)
}

func TestRestarts(t *testing.T) {
	for _, c := range []struct {
		name  string
		which []int
		wiped bool // the host was restarted, not its daemon alone
		after time.Duration
	}{
		{"sender", []int{0}, false, time.Second},
		{"receiver", []int{1}, false, time.Second},
		{"receiver's host", []int{1}, true, time.Second},
		{"both", []int{0, 1}, false, time.Second},
		{"sender, mid-bulk", []int{0}, false, 3 * time.Millisecond},
		{"receiver, mid-bulk", []int{1}, false, 3 * time.Millisecond},
		{"receiver's host, mid-bulk", []int{1}, true, 3 * time.Millisecond},
		{"both, mid-bulk", []int{0, 1}, false, 3 * time.Millisecond},
	} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(c.name, " ", seed), func(t *testing.T) {
				r := newRig(t, shape{seed: seed, link: simnet.Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.02}})
				a := r.hosts[0]
				a.fill(0, 20_000, vip1)
				a.hold(vip1)
				r.net.Run(c.after)
				for _, id := range c.which {
					if c.wiped {
						r.hosts[id].die()
					}
					r.hosts[id].start()
				}
				a.churn(20_000, 500, vip1)
				r.settle(10 * time.Second)
				r.alike(a, vip1)
			})
		}
	}
}

// TestPausedHost: a host that stood still does not accuse its peer, and is told what it
// has missed.
func TestPausedHost(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	b.deaf = true
	a.churn(0, 1000, vip1)
	r.net.Run(10 * time.Second)
	b.deaf = false
	b.step()
	if got := b.state(0); got != conntrack.InSync {
		t.Errorf("host 1 is %v right after its pause", got)
	}
	r.net.RunUntil(time.Second, func() bool { return b.state(0) == conntrack.Syncing })
	r.settle(5 * time.Second)
	r.alike(a, vip1)
}

func TestFullTable(t *testing.T) {
	r := newRig(t, shape{each: func(h *host) { h.table.limit = []int{0, 700}[h.id] }})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 500, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	a.churn(500, 900, vip1)
	r.settle(time.Second)
	p := b.peer(0)
	if p.Flows.Taken.Failed == 0 || len(b.table.index) < 690 {
		t.Errorf("table has %d flows, %+v", len(b.table.index), p.Flows.Taken)
	}
	if p.State != conntrack.InSync {
		t.Errorf("state is %v", p.State)
	}
	for i := range 800 {
		a.news(conntrack.Deleted, record.Flow{Key: keyOf(i, vip1)})
	}
	a.open(keyOf(5000, vip1), hostA)
	r.settle(time.Second)
	if _, ok := b.table.get(keyOf(5000, vip1)); !ok {
		t.Error("there is room again, and a new flow did not arrive")
	}
}

// TestClocks: hosts whose clocks are an hour apart, and one whose clock is set back.
func TestClocks(t *testing.T) {
	r := newRig(t, shape{each: func(h *host) { h.offset = time.Duration(h.id) * time.Hour }})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	a.churn(0, 1000, vip1)
	r.settle(time.Second)
	r.alike(a, vip1)
	for range 20 { // as long as its time stands still, it waits
		b.offset -= time.Millisecond
		a.churn(2000, 10, vip1)
	}
	r.settle(5 * time.Second)
	r.alike(a, vip1)
	if f, _ := b.table.get(keyOf(40, vip1)); f.Idle > time.Minute {
		t.Errorf("flow is idle for %v", f.Idle)
	}
}

func TestTableThatCannotBeRead(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 1000, vip1)
	a.table.broken = errBroken
	a.hold(vip1)
	r.net.Run(5 * time.Second)
	if p := a.peer(1); p.Covered || p.Flows.WalkError == nil {
		t.Errorf("walk error is %v, covered %v", p.Flows.WalkError, p.Covered)
	}
	if got := b.state(0); got == conntrack.InSync {
		t.Errorf("host 1 is %v", got)
	}
	a.table.broken = nil
	r.settle(5 * time.Second)
	r.alike(a, vip1)
	if p := a.peer(1); p.Flows.WalkError != nil {
		t.Errorf("walk error is still %v", p.Flows.WalkError)
	}
}

func TestLostAndResync(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	a.churn(0, 1000, vip1)
	r.settle(time.Second)
	a.table.put(record.Flow{Key: keyOf(5000, vip1), Target: hostA}, 0)
	a.engine.Lost(a.now())
	a.step()
	r.net.RunUntil(time.Second, func() bool { return b.state(0) == conntrack.Syncing })
	r.settle(time.Second)
	r.alike(a, vip1)
	b.table.drop(keyOf(5000, vip1))
	b.engine.Resync(b.now())
	if got := b.state(0); got != conntrack.Syncing {
		t.Errorf("host 1 is %v", got)
	}
	b.step()
	r.settle(time.Second)
	r.alike(a, vip1)
	if p := a.peer(1); p.Resyncs[conntrack.ReasonLost] != 1 || p.Resyncs[conntrack.ReasonAsked] != 1 {
		t.Errorf("resyncs are %v", p.Resyncs)
	}
}
