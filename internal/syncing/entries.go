package syncing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/kernel"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// EntryOptions say which entries of the kernel's connection tracking are replicated.
type EntryOptions struct {
	Filter kernel.Filter
	// Labels: rules of this host set connlabels.
	Labels bool
	// Liberal: nf_conntrack_tcp_be_liberal is 1, so that no window has to be given up.
	Liberal bool
}

// entryEvents is how many bytes of events may wait in the kernel.
const entryEvents = 32 << 20

// entryTable is the kernel's connection tracking as the engine needs it.
type entryTable struct {
	table   *kernel.Table
	events  *kernel.Events
	options EntryOptions
	log     *slog.Logger
	// told are the entries that peers have told, and which mark was new then; begun is
	// the one that was new at a peer's last Begin.
	told  map[record.EntryKey]uint32
	mark  uint32
	begun map[netip.Addr]uint32

	ops, loosen []kernel.Op
	failed      throttled
}

func openEntryTable(o EntryOptions, log *slog.Logger) (*entryTable, error) {
	table, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	events, err := kernel.Subscribe(table, kernel.Options{Filter: o.Filter, Buffer: entryEvents, Labels: o.Labels})
	if err != nil {
		return nil, errors.Join(err, table.Close())
	}
	return &entryTable{
		table: table, events: events, options: o, log: log,
		told: map[record.EntryKey]uint32{}, begun: map[netip.Addr]uint32{},
	}, nil
}

func (t *entryTable) close() error { return errors.Join(t.events.Close(), t.table.Close()) }

// gatherPause lets events come together: to wake up for each costs more than to read it.
const gatherPause = time.Millisecond

// followEntries takes in what becomes of entries until ctx is done.
func (c *Channel) followEntries(ctx context.Context) error {
	for {
		if err := c.entries.events.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow connection tracking: %w", err)
		}
		time.Sleep(gatherPause)
		c.mu.Lock()
		c.entries.gather(c.engine)
		c.step()
		c.mu.Unlock()
	}
}

// maxReads bounds how many times events are read at once, 64 of them at a time.
const maxReads = 256

// gather takes in what has become of entries. It reports whether there was anything.
func (t *entryTable) gather(engine *conntrack.Engine) (found bool) {
	now := time.Now()
	t.loosen = t.loosen[:0]
	for range maxReads {
		n, err := t.events.Read(func(ev *kernel.Event) { t.news(now, engine, ev) })
		if errors.Is(err, kernel.ErrOverrun) {
			engine.Lost(now)
			continue
		}
		if err != nil {
			t.failed.log(t.log, "events of connection tracking are not read", err)
		}
		found = found || n > 0
		if n == 0 || err != nil {
			break
		}
	}
	if _, err := t.table.Apply(t.loosen); err != nil {
		t.failed.log(t.log, "windows of connections are still tracked", err)
	}
	return found
}

// news takes in one event. An entry that the peers are told of may continue at another
// host and come back, so that this one must not hold it to the window that it knows.
func (t *entryTable) news(now time.Time, engine *conntrack.Engine, ev *kernel.Event) {
	key := ev.Entry.Key
	_, replica := t.told[key]
	switch {
	case ev.Gone:
		delete(t.told, key)
		engine.Entry(now, conntrack.Deleted, &ev.Entry)
		return
	case replica:
		engine.Entry(now, conntrack.Changed, &ev.Entry)
	default:
		engine.Entry(now, conntrack.Created, &ev.Entry)
	}
	if key.Tuple.Proto == unix.IPPROTO_TCP && !replica && !t.options.Liberal {
		t.loosen = append(t.loosen, kernel.Op{Action: kernel.Loosen, Entry: record.Entry{Key: key}})
	}
}

// Apply is conntrack.Table's.
func (t *entryTable) Apply(_ netip.Addr, changes []conntrack.Change[record.Entry]) {
	t.ops = t.ops[:0]
	for i := range changes {
		c := &changes[i]
		op := kernel.Op{Entry: c.Record}
		switch {
		case c.Op == wire.Delete && c.Own:
			c.Outcome = conntrack.Kept
			continue
		case c.Op == wire.Delete:
			op.Action = kernel.Delete
			delete(t.told, c.Record.Key)
		default:
			if c.Op == wire.Audit || c.Own {
				op.Action = kernel.Check
			}
			t.told[c.Record.Key] = t.mark
		}
		t.ops = append(t.ops, op)
	}
	tally, err := t.table.Apply(t.ops)
	if err == nil {
		err = tally.Refusal
	}
	if err != nil {
		t.failed.log(t.log, "what the peers tell of connections is not written", err)
	}
	done := 0
	for i := range changes {
		c := &changes[i]
		if c.Op == wire.Delete && c.Own {
			continue
		}
		c.Outcome = outcome(&t.ops[done])
		done++
	}
}

func outcome(op *kernel.Op) conntrack.Outcome {
	switch op.Outcome {
	case kernel.Done:
		if op.Action == kernel.Delete {
			return conntrack.Removed
		}
		return conntrack.Added
	case kernel.Orphaned:
		return conntrack.Added
	case kernel.Updated, kernel.Replaced:
		return conntrack.Altered
	case kernel.Kept:
		return conntrack.Kept
	case kernel.Same, kernel.Refreshed, kernel.Superseded, kernel.Missing:
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
	return &entrySweep{table: t, before: t.begun[from], next: next, stop: stop}
}

// entrySweep deletes entries that were not told of late.
type entrySweep struct {
	table  *entryTable
	before uint32
	next   func() (record.EntryKey, uint32, bool)
	stop   func()
}

// Next is conntrack.Sweeper's.
func (s *entrySweep) Next(_ []record.Address, visits int) (dropped int, err error) {
	t := s.table
	t.ops = t.ops[:0]
	for range visits {
		key, mark, ok := s.next()
		if !ok {
			err = io.EOF
			break
		}
		if mark < s.before {
			delete(t.told, key)
			t.ops = append(t.ops, kernel.Op{Action: kernel.Delete, Entry: record.Entry{Key: key}})
		}
	}
	tally, failure := t.table.Apply(t.ops)
	if failure != nil {
		return 0, failure
	}
	return tally.Counts[kernel.Done], err
}

// Close is conntrack.Sweeper's.
func (s *entrySweep) Close() { s.stop() }

// Walk is conntrack.Table's. All entries are told, also those that another host has told
// before: it may be gone, and who it is told to keeps what is younger.
func (t *entryTable) Walk([]record.Address) conntrack.Walker[record.Entry] {
	return readEntries(t.options.Filter)
}
