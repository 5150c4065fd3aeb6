// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
)

// aging is a ledger whose entries run out, as the kernel's do.
type aging struct {
	*ledger
	now  func() time.Time
	ends map[record.EntryKey]time.Time
}

// set makes an entry, or refreshes one: that is no news.
func (a *aging) set(e record.Entry) {
	a.entries[e.Key] = e
	a.ends[e.Key] = a.now().Add(e.Timeout)
}

// left is what is left of an entry's life.
func (a *aging) left(k record.EntryKey) time.Duration { return a.ends[k].Sub(a.now()) }

// expire drops what has run out, and returns it.
func (a *aging) expire() (gone []record.Entry) {
	for k, e := range a.entries {
		if a.left(k) <= 0 {
			delete(a.entries, k)
			gone = append(gone, e)
		}
	}
	return gone
}

func (a *aging) Apply(from netip.Addr, changes []conntrack.Change[record.Entry]) {
	a.ledger.Apply(from, changes)
	for i := range changes {
		e := &changes[i].Record
		a.ends[e.Key] = a.now().Add(e.Timeout)
	}
}

func (a *aging) Walk(scope []record.Address) conntrack.Walker[record.Entry] {
	for k, e := range a.entries {
		e.Timeout = a.left(k)
		a.entries[k] = e
	}
	return a.ledger.Walk(scope)
}

// TestExpiry: an idle connection runs out at the same time on both hosts; one that is
// busy, of whose packets there is no event, does not run out where they do not pass.
func TestExpiry(t *testing.T) {
	const audit = 60 * time.Second
	var tables []*aging
	r := newRig(t, shape{audit: audit, each: func(h *host) {
		table := &aging{newLedger(), h.now, map[record.EntryKey]time.Time{}}
		tables = append(tables, table)
		h.options.Entries = table
	}})
	a, b := r.hosts[0], r.hosts[1]
	mine, theirs := tables[0], tables[1]
	// The first is nf_conntrack_udp_timeout_stream; TCP's five days would be too long here.
	const busyFor, idleFor = 120 * time.Second, 600 * time.Second
	busy, idle := entryOf(1), entryOf(2)
	busy.Key.Tuple.Proto, busy.Reply.Proto, busy.TCP, busy.Timeout = 17, 17, record.TCP{}, busyFor
	idle.Timeout = idleFor
	a.hold(vip1)
	r.settle(time.Second)
	for _, e := range []record.Entry{busy, idle} {
		mine.set(e)
		a.engine.Entry(a.now(), conntrack.Created, &e)
	}
	a.step()
	began := r.net.Now()
	var ended [2]time.Duration
	for r.net.Now().Sub(began) < idleFor+20*time.Second {
		r.net.Run(time.Second)
		mine.set(busy)
		for id, table := range tables {
			for _, e := range table.expire() {
				if e.Key == busy.Key {
					t.Fatalf("host %d: a busy connection ran out after %v", id, r.net.Now().Sub(began))
				}
				ended[id] = r.net.Now().Sub(began)
				r.hosts[id].engine.Entry(r.net.Now(), conntrack.Deleted, &e)
				r.hosts[id].step()
			}
		}
		if left := theirs.left(busy.Key); left < busyFor-audit-2*time.Second {
			t.Fatalf("of a busy connection's %v %v are left at host 1", busyFor, left)
		}
		if off := (mine.left(idle.Key) - theirs.left(idle.Key)).Abs(); off > 2*time.Second {
			t.Fatalf("an idle connection ends %v earlier or later at host 1", off)
		}
	}
	// Host 1 is told of its end, or finds it out first.
	if _, there := theirs.entries[idle.Key]; there || ended[0] == 0 {
		t.Errorf("an idle connection ended after %v and %v, want %v", ended[0], ended[1], idleFor)
	}
	if _, there := theirs.entries[busy.Key]; !there {
		t.Error("the busy connection is gone at host 1")
	}
	if d := b.peer(0).Entries.Taken.Diverged; d != (conntrack.Diverged{}) {
		t.Errorf("diverged are %+v", d)
	}
}
