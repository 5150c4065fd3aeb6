// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"testing"
	"time"

	"hafast/pkg/conntrack"
)

// TestDeleteIsFasterThanTheEnd: an entry that ends right before an audit reads the table
// is told as deleted in its own time, and not found stale by the audit's End: nothing was
// lost.
func TestDeleteIsFasterThanTheEnd(t *testing.T) {
	var ledgers []*ledger
	r := newRig(t, shape{audit: time.Second, each: func(h *host) {
		ledgers = append(ledgers, newLedger())
		h.options.Entries = ledgers[h.id]
	}})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	// An event is read a few milliseconds after the kernel has written it.
	const late, life = 10, 6
	tell := func(n conntrack.News, i int) {
		e := entryOf(i)
		a.engine.Entry(a.now(), n, &e)
		a.step()
	}
	for i := range 30_000 {
		ledgers[0].entries[entryOf(i).Key] = entryOf(i)
		delete(ledgers[0].entries, entryOf(i-life).Key)
		tell(conntrack.Created, i)
		if gone := i - life - late; gone >= 0 {
			tell(conntrack.Deleted, gone)
		}
		r.net.Run(time.Millisecond)
		if i%7 == 0 {
			r.net.Run(time.Duration(i%13) * 100 * time.Microsecond)
		}
	}
	if d := b.peer(0).Entries.Taken.Diverged; d.Stale > 0 {
		t.Errorf("though nothing was lost, %+v", d)
	}
}
