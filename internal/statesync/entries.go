// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"errors"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/throttle"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// EntryOptions say which entries of the kernel's connection tracking are replicated.
type EntryOptions struct {
	Filter nfct.Filter
	// Labels: rules of this host set connlabels.
	Labels bool
	// Liberal: nf_conntrack_tcp_be_liberal is 1, so that no window has to be given up.
	Liberal bool
}

// entryEvents is how many bytes of events may wait in the kernel.
const entryEvents = 32 << 20

// entryTable is the kernel's connection tracking as the engine needs it.
type entryTable struct {
	table   *nfct.Table
	events  *nfct.Events
	options EntryOptions
	log     *slog.Logger
	// told are the entries that peers have told; begun is the mark that was new at a
	// peer's last Begin.
	told    map[record.EntryKey]told
	mark    uint32
	begun   map[netip.Addr]uint32
	tellers map[netip.Addr]uint16
	opened  time.Time

	loosening

	ops, loosen []nfct.Op
	places      []int // of the changes that ops are for
	failed      throttle.Throttle
}

// told is what was told of an entry last. There are as many as entries, and it has no
// pointers.
type told struct {
	// mark was new when it was told, by is the number of the peer.
	mark uint32
	by   uint16
	// state is the TCP state, until when it would expire: seconds since the table was
	// opened.
	state uint8
	until uint32
}

func openEntryTable(o EntryOptions, log *slog.Logger) (*entryTable, error) {
	table, err := nfct.Open()
	if err != nil {
		return nil, err
	}
	events, err := nfct.Subscribe(table, nfct.Options{Filter: o.Filter, Buffer: entryEvents, Labels: o.Labels})
	if err != nil {
		return nil, errors.Join(err, table.Close())
	}
	return &entryTable{
		table: table, events: events, options: o, log: log,
		told: map[record.EntryKey]told{}, begun: map[netip.Addr]uint32{}, tellers: map[netip.Addr]uint16{},
		opened: time.Now(), loosening: newLoosening(),
	}, nil
}

func (t *entryTable) close() error { return errors.Join(t.events.Close(), t.table.Close()) }

const (
	// entryReads is how many times events are read under one hold of the lock.
	// nfct.MaxRead of them at a time.
	entryReads = 4
	// loosenAtOnce is how many windows are given up under one hold: a round trip or two.
	loosenAtOnce = 64
)

// gather takes in some of what has become of entries. It reports whether there was
// anything, and whether there may be more.
func (t *entryTable) gather(engine *conntrack.Engine) (found, more bool) {
	now := time.Now()
	found, more = t.read(now, engine)
	t.loosen = t.due(now, t.loosen[:0], loosenAtOnce)
	if _, err := t.table.Apply(t.loosen); err != nil {
		t.failed.Error(t.log, "windows of connections are still tracked", err)
	}
	return found, more || len(t.loosen) == loosenAtOnce
}

// read takes in some events.
func (t *entryTable) read(now time.Time, engine *conntrack.Engine) (found, more bool) {
	for range entryReads {
		n, err := t.events.Read(func(ev *nfct.Event) { t.news(now, engine, ev) })
		if errors.Is(err, nfct.ErrOverrun) {
			engine.Lost(now)
			continue
		}
		if err != nil {
			t.failed.Error(t.log, "events of connection tracking are not read", err)
		}
		found = found || n > 0
		if n < nfct.MaxRead || err != nil {
			return found, false
		}
	}
	return found, true
}

// news takes in one event.
func (t *entryTable) news(now time.Time, engine *conntrack.Engine, ev *nfct.Event) {
	key := ev.Entry.Key
	_, replica := t.told[key]
	switch {
	case ev.Gone:
		delete(t.told, key)
		t.forget(key)
		engine.Entry(now, conntrack.Deleted, &ev.Entry)
		return
	case replica:
		engine.Entry(now, conntrack.Changed, &ev.Entry)
	default:
		engine.Entry(now, conntrack.Created, &ev.Entry)
	}
	if key.Tuple.Proto == unix.IPPROTO_TCP && !replica && !t.options.Liberal {
		t.add(now, key)
	}
}

// Apply is conntrack.Table's.
func (t *entryTable) Apply(from netip.Addr, changes []conntrack.Change[record.Entry]) {
	t.ops, t.places = t.ops[:0], t.places[:0]
	by, since := t.teller(from), time.Since(t.opened)
	for i := range changes {
		c := &changes[i]
		op := nfct.Op{Entry: c.Record}
		was, replica := t.told[c.Record.Key]
		switch {
		case c.Op == wire.Delete && c.Own && !replica:
			c.Outcome = conntrack.Kept
			continue
		case c.Op == wire.Delete && c.Own:
			op.Action = nfct.Retire
			op.Entry.TCP.State, op.Entry.Timeout = was.state, max(0, time.Duration(was.until)*time.Second-since)
			delete(t.told, c.Record.Key)
		case c.Op == wire.Delete:
			op.Action = nfct.Delete
			delete(t.told, c.Record.Key)
		default:
			if c.Op == wire.Audit || c.Own {
				op.Action = nfct.Check
			}
			t.told[c.Record.Key] = told{
				mark: t.mark, by: by, state: c.Record.TCP.State, until: uint32((since + c.Record.Timeout) / time.Second),
			}
		}
		t.ops, t.places = append(t.ops, op), append(t.places, i)
	}
	tally, err := t.table.Apply(t.ops)
	if err == nil {
		err = tally.Refusal
	}
	if err != nil {
		t.failed.Error(t.log, "what the peers tell of connections is not written", err)
	}
	for i := range t.ops {
		changes[t.places[i]].Outcome = outcome(&t.ops[i])
	}
}

// teller is the number of a peer. There are no more than the configurations have named.
func (t *entryTable) teller(peer netip.Addr) uint16 {
	n, there := t.tellers[peer]
	if !there {
		n = uint16(len(t.tellers))
		t.tellers[peer] = n
	}
	return n
}

func outcome(op *nfct.Op) conntrack.Outcome {
	switch op.Outcome {
	case nfct.Done:
		if op.Action == nfct.Delete || op.Action == nfct.Retire {
			return conntrack.Removed
		}
		return conntrack.Added
	case nfct.Orphaned:
		return conntrack.Added
	case nfct.Updated, nfct.Replaced:
		return conntrack.Altered
	case nfct.Kept:
		return conntrack.Kept
	case nfct.Same, nfct.Refreshed, nfct.Superseded, nfct.Missing:
		return conntrack.Same
	default:
		return conntrack.Failed
	}
}

// Begin is conntrack.Table's.
func (t *entryTable) Begin(from netip.Addr) {
	t.mark++
	t.begun[from] = t.mark
}

// Sweep is conntrack.Table's.
func (t *entryTable) Sweep(from netip.Addr) conntrack.Sweeper {
	next, stop := iter.Pull2(maps.All(t.told))
	return &entrySweep{table: t, by: t.teller(from), before: t.begun[from], next: next, stop: stop}
}

// entrySweep deletes entries that a peer has told, and not of late.
type entrySweep struct {
	table  *entryTable
	by     uint16
	before uint32
	next   func() (record.EntryKey, told, bool)
	stop   func()
}

// Next is conntrack.Sweeper's.
func (s *entrySweep) Next(_ []record.Address, visits int) (dropped int, err error) {
	t := s.table
	t.ops = t.ops[:0]
	for range visits {
		key, was, ok := s.next()
		if !ok {
			err = io.EOF
			break
		}
		if was.by == s.by && was.mark < s.before {
			delete(t.told, key)
			t.ops = append(t.ops, nfct.Op{Action: nfct.Delete, Entry: record.Entry{Key: key}})
		}
	}
	tally, failure := t.table.Apply(t.ops)
	if failure != nil {
		return 0, failure
	}
	return tally.Counts[nfct.Done], err
}

// Close is conntrack.Sweeper's.
func (s *entrySweep) Close() { s.stop() }

// Walk is conntrack.Table's. All entries are told, also those that another host has told
// before: it may be gone, and who it is told to keeps what is younger.
func (t *entryTable) Walk([]record.Address) conntrack.Walker[record.Entry] {
	return readEntries(t.options.Filter, t.walked)
}

// walked takes in what a walk has found: connections from before this daemon's start, or
// whose events were lost.
func (t *entryTable) walked(entries []record.Entry) {
	if t.options.Liberal {
		return
	}
	now := time.Now()
	for i := range entries {
		e := &entries[i]
		if _, replica := t.told[e.Key]; !replica && nfct.Windowed(e) {
			t.add(now, e.Key)
		}
	}
}
