// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"runtime"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/stream/simnet"
)

// TestMillionFlowsInBulk is CONFORMANCE's 1 M flows: simulated time, and what it really
// costs both hosts and the network together.
func TestMillionFlowsInBulk(t *testing.T) {
	flows := 1_000_000
	if raceEnabled {
		flows = 100_000
	}
	r := newRig(t, shape{link: simnet.Link{Delay: 50 * time.Microsecond, Rate: 200_000, Queue: 256}})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, flows, vip1)
	a.scope = append(a.scope, vip1)
	a.start()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, simulated := time.Now(), r.net.Now()
	r.settle(time.Minute)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if got := len(b.table.index); got != flows {
		t.Fatalf("%d of %d flows arrived", got, flows)
	}
	p := a.peer(1)
	t.Logf("%d flows: %v simulated, %v of processor time for both ends (%v a flow), %d MB allocated, %d MB more in use, "+
		"%d datagrams of %d bytes, %d batches resent, window %d",
		flows, r.net.Now().Sub(simulated), took, took/time.Duration(flows), (after.TotalAlloc-before.TotalAlloc)>>20,
		int64(after.HeapAlloc-before.HeapAlloc)>>20, p.Sent.Datagrams, p.Sent.Bytes, p.Resent, p.Window)
	if limit := 5 * time.Second; p.ResyncTook > limit {
		t.Errorf("resync took %v, more than %v", p.ResyncTook, limit)
	}
}

// TestCoveredMeansHasAll: a peer counts as covered no sooner than it has everything.
func TestCoveredMeansHasAll(t *testing.T) {
	r := newRig(t, shape{link: simnet.Link{Delay: 20 * time.Millisecond, Rate: 2000, Queue: 500, Loss: 0.05}})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 20_000, vip1)
	a.hold(vip1)
	for !a.peer(1).Covered {
		r.net.Run(time.Millisecond)
	}
	if got := b.state(0); got != conntrack.InSync {
		t.Errorf("the peer is %v", got)
	}
	r.alike(a, vip1)
}

// TestNewsDuringBulk: news do not wait for a resync, and nothing is lost or comes back.
func TestNewsDuringBulk(t *testing.T) {
	r := newRig(t, shape{link: simnet.Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.01}})
	a, b := r.hosts[0], r.hosts[1]
	a.fill(0, 50_000, vip1)
	a.hold(vip1)
	for i := range 2000 {
		r.net.Run(100 * time.Microsecond)
		a.open(keyOf(50_000+i, vip1), hostA)
		a.news(conntrack.Deleted, mustGet(t, a, i*20))
	}
	r.settle(10 * time.Second)
	r.alike(a, vip1)
	if lag := a.peer(1).Lag; lag.P99 > 60*time.Millisecond {
		t.Errorf("lag is %+v", lag)
	}
	if b.table.swept > 0 {
		t.Errorf("%d flows were swept", b.table.swept)
	}
}
