// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"io"
	"maps"
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// ledger is a connection tracking table in memory. Whose entries are whose it knows by
// origin: those without are this host's own.
type ledger struct {
	entries map[record.EntryKey]record.Entry
	origin  map[record.EntryKey]netip.Addr
	told    map[record.EntryKey]int
	serial  int
	begun   map[netip.Addr]int
}

func newLedger() *ledger {
	return &ledger{
		map[record.EntryKey]record.Entry{}, map[record.EntryKey]netip.Addr{}, map[record.EntryKey]int{}, 0, map[netip.Addr]int{},
	}
}

func (l *ledger) Apply(from netip.Addr, changes []conntrack.Change[record.Entry]) {
	for i := range changes {
		c := &changes[i]
		k := c.Record.Key
		have, ok := l.entries[k]
		own := ok && l.origin[k] == netip.Addr{}
		l.told[k] = l.serial
		switch {
		case c.Own && own:
			c.Outcome = conntrack.Kept
		case c.Op == wire.Delete && !ok:
		case c.Op == wire.Delete:
			delete(l.entries, k)
			c.Outcome = conntrack.Removed
		default:
			l.entries[k], l.origin[k] = c.Record, from
			switch have.Timeout = c.Record.Timeout; {
			case !ok:
				c.Outcome = conntrack.Added
			case have != c.Record:
				c.Outcome = conntrack.Altered
			}
		}
	}
}

func (l *ledger) Begin(from netip.Addr) {
	l.serial++
	l.begun[from] = l.serial
}

func (l *ledger) Sweep(from netip.Addr) conntrack.Sweeper { return &purge{l, from} }

type purge struct {
	l    *ledger
	from netip.Addr
}

func (p *purge) Next([]record.Address, int) (n int, err error) {
	for k := range p.l.entries {
		if p.l.origin[k] == p.from && p.l.told[k] < p.l.begun[p.from] {
			delete(p.l.entries, k)
			n++
		}
	}
	return n, io.EOF
}

func (p *purge) Close() {}

func (l *ledger) Walk([]record.Address) conntrack.Walker[record.Entry] {
	w := &page{}
	for _, e := range l.entries {
		w.rest = append(w.rest, e)
	}
	return w
}

type page struct{ rest []record.Entry }

func (p *page) Next(buf []record.Entry) (int, error) {
	n := copy(buf, p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (p *page) Close() {}

// alike compares entries; what is left of their lives may be off by a second.
func alike(a, b record.Entry) bool {
	off := (a.Timeout - b.Timeout).Abs()
	a.Timeout, b.Timeout = 0, 0
	return a == b && off <= time.Second
}

func entryOf(i int) record.Entry {
	t := record.Tuple{Src: address("192.0.2.1"), Dst: address("198.51.100.1"), SrcPort: uint16(i), DstPort: 80, Proto: 6}
	return record.Entry{
		Key:   record.EntryKey{Tuple: t, Zone: uint16(i % 3)},
		Reply: record.Tuple{Src: t.Dst, Dst: address("10.8.0.1"), SrcPort: 80, DstPort: uint16(i + 1), Proto: 6},
		// SRC_NAT, CONFIRMED, ASSURED, SEEN_REPLY
		Status: 0x1e, Timeout: 300 * time.Second, Mark: uint32(i), TCP: record.TCP{State: 3, ScaleOriginal: 14},
	}
}

func TestEntries(t *testing.T) {
	var ledgers []*ledger
	r := newRig(t, shape{audit: 5 * time.Second, each: func(h *host) {
		ledgers = append(ledgers, newLedger())
		h.options.Entries = ledgers[h.id]
	}})
	a, b := r.hosts[0], r.hosts[1]
	mine, theirs := ledgers[0].entries, ledgers[1].entries
	tell := func(h *host, n conntrack.News, e record.Entry) {
		if n == conntrack.Deleted {
			delete(ledgers[h.id].entries, e.Key)
		} else {
			ledgers[h.id].entries[e.Key] = e
			delete(ledgers[h.id].origin, e.Key)
		}
		h.engine.Entry(h.now(), n, &e)
		h.step()
	}
	for i := range 100 {
		mine[entryOf(i).Key] = entryOf(i)
	}
	a.hold(vip1)
	r.settle(time.Second)
	for i := range 200 {
		r.net.Run(100 * time.Microsecond)
		tell(a, conntrack.Created, entryOf(100+i))
		if i%5 == 0 {
			tell(a, conntrack.Deleted, entryOf(i))
		}
	}
	r.net.Run(200 * time.Millisecond)
	closing := entryOf(1000)
	tell(a, conntrack.Created, closing)
	closing.TCP.State = 8
	tell(a, conntrack.Changed, closing)
	tell(a, conntrack.Deleted, closing)
	r.settle(time.Second)
	if !maps.EqualFunc(mine, theirs, alike) {
		t.Fatalf("%d entries, not %d", len(theirs), len(mine))
	}
	if told := a.peer(1).Entries.Told; told.Skipped != 1 {
		t.Errorf("%+v", told)
	}
	// A Backup's replica that times out there is none of the Active's business.
	tell(b, conntrack.Deleted, entryOf(151))
	r.net.Run(20 * time.Millisecond)
	if told := b.peer(0).Entries.Told; told.News > 0 {
		t.Error("a Backup has told that an entry is gone")
	}
	delete(mine, entryOf(152).Key) // a lost delete
	r.net.Run(12 * time.Second)
	if !maps.EqualFunc(mine, theirs, alike) {
		t.Errorf("%d entries after an audit, not %d", len(theirs), len(mine))
	}
	want := conntrack.Diverged{Missing: 1, Stale: 1}
	if got := b.peer(0).Entries.Taken.Diverged; got != want {
		t.Errorf("diverged are %+v, not %+v", got, want)
	}
	// The VIP moves. The former Active, started anew, has nothing to say about entries.
	a.hold()
	b.hold(vip1)
	tell(b, conntrack.Changed, entryOf(200))
	clear(mine)
	a.start()
	r.settle(2 * time.Second)
	if len(theirs) < 200 {
		t.Errorf("%d entries are left", len(theirs))
	}
	if !maps.EqualFunc(mine, theirs, alike) {
		t.Errorf("the former Active has %d entries, not %d", len(mine), len(theirs))
	}
}

// TestEntriesOfAnActive: what a host tells about entries that started anew drops nothing
// at one that is Active itself, nor at any if it is Active for nothing.
func TestEntriesOfAnActive(t *testing.T) {
	for _, c := range []struct {
		name    string
		a, b    []record.Address // held after the restart
		dropped bool
	}{
		{"a is Active", []record.Address{vip1}, nil, true},
		{"both are Active", []record.Address{vip1}, []record.Address{vip2}, false},
		{"b is Active", nil, []record.Address{vip1}, false},
		{"none is Active", nil, nil, false},
	} {
		var ledgers []*ledger
		r := newRig(t, shape{audit: 5 * time.Second, each: func(h *host) {
			ledgers = append(ledgers, newLedger())
			h.options.Entries = ledgers[h.id]
		}})
		a, b := r.hosts[0], r.hosts[1]
		for i := range 100 {
			ledgers[0].entries[entryOf(i).Key] = entryOf(i)
		}
		a.hold(vip1)
		r.settle(time.Second)
		clear(ledgers[0].entries)
		a.die()
		b.hold(c.b...)
		a.scope = c.a
		a.start()
		r.settle(time.Second)
		r.net.Run(12 * time.Second)
		if n := len(ledgers[1].entries); (n == 0) != c.dropped {
			t.Errorf("%s: host 1 has %d entries", c.name, n)
		}
	}
}

// TestTablesOfOneSide: what only one of the hosts replicates is not told.
func TestTablesOfOneSide(t *testing.T) {
	table := newLedger()
	r := newRig(t, shape{each: func(h *host) {
		if h.id == 0 {
			h.options.Entries = table
		}
	}})
	a := r.hosts[0]
	a.hold(vip1)
	a.churn(0, 100, vip1)
	e := entryOf(1)
	a.engine.Entry(a.now(), conntrack.Created, &e)
	r.settle(time.Second)
	r.alike(a, vip1)
	if told := a.peer(1).Entries.Told; told != (conntrack.Told{}) {
		t.Errorf("%+v", told)
	}
}
