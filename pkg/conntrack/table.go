// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"net/netip"
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// Table is one of this host's tables as the engine needs it. The caller implements it.
// It is called from within the engine's methods and must not call the engine.
//
// For sweeping, a table remembers of each record when it was last told: of a flow by
// whichever peer, as its VIP says whose it is, of an entry also by which one. A number
// that Begin counts up will do: Apply marks what it is given with the current one,
// whatever comes of it, and a sweep drops what has one below that of its Begin.
type Table[R any] interface {
	// Apply carries out changes in their order and says of each what came of it. A batch
	// fills a datagram; Op is Set, Delete or Audit. The slice is the engine's own again
	// afterwards.
	Apply(from netip.Addr, changes []Change[R])
	// Begin says that the peer will tell all that it has, from now until a Sweep.
	Begin(from netip.Addr)
	// Sweep returns what drops the records that the peer did not tell since its last
	// Begin. It goes on when the next Begin comes.
	Sweep(from netip.Addr) Sweeper
	// Walk returns a reader of what this host is to tell a peer. Of flows these are the
	// ones to the VIPs in scope. Of entries it is for the table to know which are this
	// host's own; scope is then not empty.
	Walk(scope []record.Address) Walker[R]
}

// FlowTable and EntryTable are the tables that there are.
type (
	FlowTable  = Table[record.Flow]
	EntryTable = Table[record.Entry]
)

// Change is a change that a peer told, and what came of it.
type Change[R any] struct {
	Op     wire.Op
	Record R
	// Own: this host is itself Active for it, or was a moment ago. What has been used
	// here since the peer last saw it stays as it is, and is not deleted.
	Own bool
	// Outcome is for Apply to set.
	Outcome Outcome
}

// Outcome is what came of a change.
type Outcome uint8

// The outcomes.
const (
	// Same: it was so already, but for its age; or there was nothing to delete.
	Same Outcome = iota
	// Added: it was not there.
	Added
	// Altered: it was there and different.
	Altered
	// Removed: it was there and is deleted.
	Removed
	// Kept: what is here is younger.
	Kept
	// Failed: there was no room for it, or it was refused.
	Failed
)

// Walker reads a table piece by piece while it changes: a record that is there all the
// time is read once. Flows are handed over as they are. Entries may have been read ahead,
// by a second or so: an older state of one of which news were told meanwhile is not told.
type Walker[R any] interface {
	// Next fills buf, which has room for 64 records or more, from the front and returns
	// how many it has put there; none means that it is to be asked again in a while. At
	// the end the error is io.EOF, perhaps along with the last records.
	Next(buf []R) (int, error)
	// Close is called once, at the end or before.
	Close()
}

// Sweeper drops records piece by piece.
type Sweeper interface {
	// Next visits about so many records and returns how many it dropped. Of flows it
	// drops only those to VIPs in scope, which may be another at each call. At the end
	// the error is io.EOF.
	Next(scope []record.Address, visits int) (dropped int, err error)
	// Close is called once, at the end or before.
	Close()
}

// kind is what the engine has to know of the records of a table.
type kind[K comparable, R any] struct {
	table wire.Table
	// size is roughly that of a record on the wire, in bytes.
	size int
	// delay is how long news wait for what becomes of their records: those that come and
	// go meanwhile need not travel.
	delay time.Duration
	key   func(*R) K
	// ahead: a Walker may have read a record some time before it hands it over.
	ahead bool
	// gone reports whether a record that a peer does not have need not be told any more.
	gone func(*R) bool
	// age lets time pass for a record.
	age   func(*R, time.Duration)
	write func(*wire.BatchWriter, wire.Op, *R) bool
	// own reports whether this host is Active for a record, if it is for these VIPs.
	own func(*R, vips) bool
}

// entryDelay is there because an entry costs a hundred times as much to replicate as to
// track, and most are of connections that take no longer than this. It is no more than
// the time in which a host's death is noticed. Flows do not wait: that they are looked for
// every few milliseconds only is pause enough.
const entryDelay = 9 * time.Millisecond

var flowKind = &kind[record.FlowKey, record.Flow]{
	table: wire.Flows,
	size:  16,
	key:   func(f *record.Flow) record.FlowKey { return f.Key },
	gone:  func(f *record.Flow) bool { return f.Closing },
	age:   func(f *record.Flow, d time.Duration) { f.Idle += d },
	write: func(w *wire.BatchWriter, op wire.Op, f *record.Flow) bool { return w.Flow(op, *f) },
	own:   func(f *record.Flow, held vips) bool { return held.has(f.Key.VIP) },
}

var entryKind = &kind[record.EntryKey, record.Entry]{
	table: wire.Entries,
	size:  48,
	delay: entryDelay,
	key:   func(e *record.Entry) record.EntryKey { return e.Key },
	ahead: true,
	gone:  closed,
	age:   func(e *record.Entry, d time.Duration) { e.Timeout = max(0, e.Timeout-d) },
	write: func(w *wire.BatchWriter, op wire.Op, e *record.Entry) bool { return w.Entry(op, e) },
	// An entry is of no VIP: it may be of a connection that only passes through.
	own: func(_ *record.Entry, held vips) bool { return len(held) > 0 },
}

// The states of a TCP connection in which nothing more will come (enum tcp_conntrack of
// linux/netfilter/nf_conntrack_tcp.h).
const (
	tcpTimeWait = 7
	tcpClose    = 8

	protoTCP = 6
)

func closed(e *record.Entry) bool {
	return e.Key.Tuple.Proto == protoTCP && (e.TCP.State == tcpTimeWait || e.TCP.State == tcpClose)
}
