// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
)

// aheadOf is a ledger whose walks read all of it at their beginning, and hand it over
// later: as a reader does that works ahead.
type aheadOf struct {
	*ledger
	behind time.Duration
	now    func() time.Time
}

func (a aheadOf) Walk(scope []record.Address) conntrack.Walker[record.Entry] {
	return &readAhead{a.ledger.Walk(scope), a.now().Add(a.behind), a.now}
}

type readAhead struct {
	conntrack.Walker[record.Entry]
	ready time.Time
	now   func() time.Time
}

func (r *readAhead) Next(buf []record.Entry) (int, error) {
	if r.now().Before(r.ready) {
		return 0, nil
	}
	return r.Walker.Next(buf)
}

// TestNewsOvertakeNothingThatIsOlder: an entry that a walk has read is deleted, or
// changes, and the news leave before the walk hands it over. What was last so is so at
// the peer.
func TestNewsOvertakeNothingThatIsOlder(t *testing.T) {
	var ledgers []*ledger
	r := newRig(t, shape{audit: 5 * time.Second, each: func(h *host) {
		ledgers = append(ledgers, newLedger())
		h.options.Entries = aheadOf{ledgers[h.id], 300 * time.Millisecond, h.now}
	}})
	a, b := r.hosts[0], r.hosts[1]
	tell := func(n conntrack.News, e record.Entry) {
		if n == conntrack.Deleted {
			delete(ledgers[0].entries, e.Key)
		} else {
			ledgers[0].entries[e.Key] = e
		}
		a.engine.Entry(a.now(), n, &e)
		a.step()
	}
	a.hold(vip1)
	for i := range 100 {
		tell(conntrack.Created, entryOf(i))
	}
	r.settle(2 * time.Second)
	next := 1000
	for step := range 10000 {
		switch r.net.Run(time.Millisecond); step % 100 {
		case 0:
			tell(conntrack.Created, entryOf(next))
		case 50:
			marked := entryOf(next)
			marked.Mark = 77
			tell(conntrack.Changed, marked)
		case 99:
			tell(conntrack.Deleted, entryOf(next))
			next++
		}
		if step%100 != 40 && step%100 != 95 {
			continue
		}
		for k, e := range ledgers[1].entries {
			if own, ok := ledgers[0].entries[k]; !ok || own.Mark != e.Mark {
				t.Fatalf("after %d ms the peer has %v with mark %d; here it is there %v, with mark %d",
					step, k.Tuple.SrcPort, e.Mark, ok, own.Mark)
			}
		}
	}
	if d := b.peer(0).Entries.Taken.Diverged; d != (conntrack.Diverged{}) {
		t.Errorf("though nothing was lost, %+v", d)
	}
}
