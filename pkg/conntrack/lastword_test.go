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

// TestFlushed: what is flushed leaves with the next step, and it is known that it has.
func TestFlushed(t *testing.T) {
	r := newRig(t, shape{})
	a := r.hosts[0]
	a.hold(vip1)
	r.settle(time.Second)
	a.open(keyOf(1, vip1), hostA)
	a.engine.Flush()
	if a.engine.Flushed() {
		t.Error("flushed before the step")
	}
	before := a.engine.Status(a.now()).Peers[0].Sent.Datagrams
	a.step()
	if sent := a.engine.Status(a.now()).Peers[0].Sent.Datagrams; !a.engine.Flushed() || sent != before+1 {
		t.Errorf("flushed: %t, %d datagrams sent, want 1", a.engine.Flushed(), sent-before)
	}
}
