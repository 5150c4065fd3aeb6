// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
)

// TestNothingIsOwedForEver: a VIP that this host has given up is owed for a minute to a
// peer that is not there, also to one that it has never heard. After that it takes the
// word of the one that holds it now.
func TestNothingIsOwedForEver(t *testing.T) {
	for _, heard := range []bool{true, false} {
		r := newRig(t, shape{hosts: 3})
		a, b, c := r.hosts[0], r.hosts[1], r.hosts[2]
		if heard {
			r.settle(time.Second)
		}
		c.die()
		a.hold(vip1)
		for i := range 10 {
			a.open(keyOf(i, vip1), hostA)
		}
		r.net.Run(5 * time.Second)
		a.hold()
		b.hold(vip1)
		r.net.Run(30 * time.Second)
		b.news(conntrack.Deleted, mustGet(t, b, 1))
		r.net.Run(100 * time.Millisecond)
		if _, kept := a.table.get(keyOf(1, vip1)); !kept {
			t.Errorf("heard %v: the former holder has lost what it owes", heard)
		}
		r.net.Run(40 * time.Second)
		b.news(conntrack.Deleted, mustGet(t, b, 2))
		r.net.Run(100 * time.Millisecond)
		if _, kept := a.table.get(keyOf(2, vip1)); kept {
			t.Errorf("heard %v: the former holder keeps what its successor has dropped", heard)
		}
	}
}

// TestEndsWhileAVIPLingers: a connection that was made here ends at the host that has the
// VIP now. The former one drops it, though a third host may still be owed the VIP:
// otherwise it would be here for days, and come back with the VIP.
func TestEndsWhileAVIPLingers(t *testing.T) {
	var ledgers []*ledger
	r := newRig(t, shape{hosts: 3, each: func(h *host) {
		ledgers = append(ledgers, newLedger())
		h.options.Entries = ledgers[h.id]
	}})
	a, b, c := r.hosts[0], r.hosts[1], r.hosts[2]
	r.settle(time.Second)
	c.die()
	a.hold(vip1)
	entry := entryOf(1)
	ledgers[0].entries[entry.Key] = entry
	a.engine.Entry(a.now(), conntrack.Created, &entry)
	a.step()
	r.net.Run(time.Second)
	a.hold()
	b.hold(vip1)
	r.net.Run(time.Second)
	delete(ledgers[1].entries, entry.Key)
	b.engine.Entry(b.now(), conntrack.Deleted, &record.Entry{Key: entry.Key})
	b.step()
	r.net.Run(100 * time.Millisecond)
	if _, kept := ledgers[0].entries[entry.Key]; kept {
		t.Error("the former Active keeps a connection that has ended")
	}
}
