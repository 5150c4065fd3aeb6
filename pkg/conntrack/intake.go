// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

const (
	// maxChanges is how many changes are applied at once.
	maxChanges = 1024
	// sweepVisits is how many records a sweep visits in a step.
	sweepVisits = 1024
)

// intake is what one peer tells of one table. Times are counted from the engine's start.
type intake[K comparable, R any] struct {
	kind    *kind[K, R]
	table   Table[R]
	from    netip.Addr
	on      bool // the peer replicates the table too
	changes []Change[R]

	walking    bool // between a Begin and its End
	generation uint32
	told       uint64 // records since Begin
	ended      bool   // the first walk of the epoch has
	scope      []record.Address

	sweeper Sweeper
	// swept is the scope of the walk that the sweep is of: the next one may begin before
	// the sweep is over, and has told nothing yet of what only its own scope has.
	swept []record.Address
	audit bool // the sweep is that of an audit
	err   error
	suspects[K]
	figures Taken
}

// taker is an intake of whichever table.
type taker interface {
	begin(b wire.Begin)
	end(e wire.End)
	apply(now time.Duration)
	step(now time.Duration, scope func(wire.Table, []record.Address) ([]record.Address, bool))
	deadline(now time.Duration, at *earliest)
	reset()
	close()
	complete() bool
	active() []record.Address
	taken() (Taken, error)
}

func newIntake[K comparable, R any](k *kind[K, R], t Table[R], from netip.Addr) *intake[K, R] {
	return &intake[K, R]{kind: k, table: t, from: from}
}

// take takes a change in. It is applied with others; it reports whether those are many.
func (in *intake[K, R]) take(op wire.Op, r *R, held vips) (many bool) {
	in.told++
	in.changes = append(in.changes, Change[R]{Op: op, Record: *r, Own: in.kind.own(r, held)})
	return len(in.changes) >= maxChanges
}

// apply carries out what was taken in.
func (in *intake[K, R]) apply(now time.Duration) {
	if len(in.changes) == 0 {
		return
	}
	in.table.Apply(in.from, in.changes)
	for i := range in.changes {
		in.count(now, &in.changes[i])
	}
	in.changes = in.changes[:0]
}

// count books what came of a change.
func (in *intake[K, R]) count(now time.Duration, c *Change[R]) {
	f := &in.figures
	switch c.Outcome {
	case Same:
		f.Same++
	case Added:
		f.Added++
	case Altered:
		f.Altered++
	case Removed:
		f.Removed++
	case Kept:
		f.Kept++
	case Failed:
		f.Failed++
	}
	switch {
	case c.Op != wire.Audit:
		in.suspects.clear(in.kind.key(&c.Record))
		return
	case in.kind.gone(&c.Record):
		return // its peer need not have told
	}
	switch c.Outcome {
	case Added:
		in.suspects.add(now, in.kind.key(&c.Record), &f.Diverged.Missing)
	case Altered:
		in.suspects.add(now, in.kind.key(&c.Record), &f.Diverged.Different)
	case Same, Removed, Kept, Failed: // it was there, or is not to be
	}
}

// begin is called when all before has been applied.
func (in *intake[K, R]) begin(b wire.Begin) {
	in.walking, in.generation, in.told = true, b.Generation, 0
	in.scope = b.Scope
	in.table.Begin(in.from)
}

// end is called when all before has been applied. If not everything has arrived that
// was told, as from a peer of a later version, nothing is swept. A sweep that still goes
// on is not begun anew: what it misses is for the next.
func (in *intake[K, R]) end(e wire.End) {
	if !in.walking || e.Generation != in.generation {
		return
	}
	in.walking = false
	switch {
	case e.Count != in.told:
		in.figures.Miscounted++
	case in.sweeper == nil:
		in.sweeper, in.swept, in.audit = in.table.Sweep(in.from), in.scope, in.ended
	}
	in.ended = true
}

// step sweeps on, and settles who was suspected. scope tells what may be swept of what
// the peer holds.
func (in *intake[K, R]) step(now time.Duration, scope func(wire.Table, []record.Address) ([]record.Address, bool)) {
	in.suspects.settle(now)
	if in.sweeper == nil {
		return
	}
	list, ok := scope(in.kind.table, in.swept)
	if !ok {
		in.stopSweep()
		return
	}
	n, err := in.sweeper.Next(list, sweepVisits)
	in.figures.Swept += uint64(n)
	if in.audit {
		in.figures.Diverged.Stale += uint64(n)
	}
	if err != nil {
		in.err = err
		if errors.Is(err, io.EOF) {
			in.err = nil
		}
		in.stopSweep()
	}
}

func (in *intake[K, R]) stopSweep() {
	if in.sweeper != nil {
		in.sweeper.Close()
		in.sweeper = nil
	}
}

// deadline adds when step is due.
func (in *intake[K, R]) deadline(now time.Duration, at *earliest) {
	in.suspects.deadline(at)
	if in.sweeper != nil {
		at.add(now)
	}
}

// reset is for a new epoch.
func (in *intake[K, R]) reset() {
	in.walking, in.ended = false, false
}

// close ends the intake.
func (in *intake[K, R]) close() { in.stopSweep() }

// complete reports whether the first walk of the epoch has ended.
func (in *intake[K, R]) complete() bool { return in.ended }

// active are the VIPs of which the peer was Active at its last Begin.
func (in *intake[K, R]) active() []record.Address { return in.scope }

// taken returns the figures, and why the last sweep could not be finished.
func (in *intake[K, R]) taken() (Taken, error) { return in.figures, in.err }
