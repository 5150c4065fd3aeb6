// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"fmt"
	"testing"
	"time"

	"hafast/pkg/conntrack"
)

// TestLastWordIsLast: a host that gives a VIP up says so behind all the news of it, also
// behind those that would have waited for what becomes of them. Once a successor has that
// word, it has everything.
func TestLastWordIsLast(t *testing.T) {
	for i := range 20 {
		var ledgers []*ledger
		r := newRig(t, shape{seed: uint64(i), each: func(h *host) {
			ledgers = append(ledgers, newLedger())
			h.options.Entries = ledgers[h.id]
		}})
		a, b := r.hosts[0], r.hosts[1]
		a.hold(vip1)
		r.settle(time.Second)
		r.net.Run(time.Duration(i) * 777 * time.Microsecond)
		a.open(keyOf(1, vip1), hostA)
		e := entryOf(1)
		ledgers[0].entries[e.Key] = e
		a.engine.Entry(a.now(), conntrack.Created, &e)
		a.step()
		a.hold()
		for end := r.net.Now().Add(time.Second); !b.engine.Settled(b.now(), a.addr, vip1); r.net.Run(100 * time.Microsecond) {
			if r.net.Now().After(end) {
				t.Fatal("the last word does not come")
			}
		}
		what := fmt.Sprintf("run %d: the last word has come, but not", i)
		if _, ok := b.table.get(keyOf(1, vip1)); !ok {
			t.Fatal(what, "the flow before it")
		}
		if _, ok := ledgers[1].entries[e.Key]; !ok {
			t.Fatal(what, "the entry before it")
		}
	}
}

// TestFlushed: news that would wait for what becomes of them leave with the next step when
// they are flushed, and it is known that they have.
func TestFlushed(t *testing.T) {
	r := newRig(t, shape{each: func(h *host) { h.options.Entries = newLedger() }})
	a := r.hosts[0]
	a.hold(vip1)
	r.settle(time.Second)
	sent := func() uint64 { return a.engine.Status(a.now()).Peers[0].Entries.Told.News }
	before := sent()
	e := entryOf(1)
	a.engine.Entry(a.now(), conntrack.Created, &e)
	a.step()
	if sent() != before {
		t.Fatal("the news did not wait")
	}
	a.engine.Flush()
	if a.engine.Flushed() {
		t.Error("flushed before the step")
	}
	a.step()
	if sent() != before+1 || !a.engine.Flushed() {
		t.Errorf("%d changes have left, want 1; flushed: %t", sent()-before, a.engine.Flushed())
	}
}
