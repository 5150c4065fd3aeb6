// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream/simnet"
	"hafast/pkg/conntrack/wire"
)

// TestReplayAcrossEpochs: what was recorded in one epoch of a boot changes nothing in
// the next ones, though batches are numbered from 1 again in each.
func TestReplayAcrossEpochs(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	tap := &wiretap{host: b, from: 0}
	r.net.Attach(1, tap)
	a.fill(0, 500, vip1)
	a.hold(vip1)
	r.settle(time.Second)
	for i := range 500 {
		a.news(conntrack.Deleted, record.Flow{Key: keyOf(i, vip1)})
	}
	r.settle(time.Second)
	for epoch := range 3 {
		recorded := tap.all
		before := a.peer(1).Epoch
		a.engine.Lost(a.now())
		a.step()
		// In the middle of the resync, and after it.
		for _, when := range []string{"during", "after"} {
			if when == "after" {
				r.settle(2 * time.Second)
			}
			rejected, applied := b.peer(0).Rejected[wire.RejectReplay], b.table.applied
			(&wiretap{host: b, from: 0, all: recorded}).replay()
			if n := b.peer(0).Rejected[wire.RejectReplay] - rejected; n != uint64(len(recorded)) || b.table.applied != applied {
				t.Errorf("%s resync %d: %d of %d datagrams rejected as replayed, %d records applied",
					when, epoch, n, len(recorded), b.table.applied-applied)
			}
		}
		if after := a.peer(1).Epoch; after == before {
			t.Errorf("the epoch is still %d", after)
		}
		r.alike(a, vip1)
		if n := len(b.table.index); n != 0 {
			t.Fatalf("%d flows came back", n)
		}
		r.net.Run(time.Second)
	}
}

// TestBulkTakesLittleMemory: what a host holds beside its tables while it tells or is
// told everything does not grow with how much that is, nor with losses.
func TestBulkTakesLittleMemory(t *testing.T) {
	const flows, limit = 200_000, 8 << 20
	for _, loss := range []float64{0, 0.1} {
		t.Run(fmt.Sprintf("%.0f %% loss", 100*loss), func(t *testing.T) {
			r := newRig(t, shape{link: simnet.Link{Delay: 50 * time.Microsecond, Rate: 200_000, Queue: 256, Loss: loss}})
			a, b := r.hosts[0], r.hosts[1]
			a.fill(0, flows, vip1)
			b.fill(0, flows, vip1) // so that its table does not grow
			inUse := func() int64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			before, most := inUse(), int64(0)
			a.hold(vip1)
			for !a.peer(1).Covered {
				r.net.Run(10 * time.Millisecond)
				most = max(most, inUse()-before)
				if r.net.Now().Sub(simnet.Epoch) > time.Minute {
					t.Fatalf("not covered after a minute\n%s", r.describe())
				}
			}
			if n := a.peer(1).Flows.Told.Walked; n < flows {
				t.Errorf("%d of %d flows were told", n, flows)
			}
			t.Logf("%d KiB", most>>10)
			if most > limit {
				t.Errorf("both hosts held up to %d KiB more, over %d", most>>10, limit>>10)
			}
		})
	}
}
