// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// memory is a flow table in memory, with the rules that conntrack.Table asks for. It
// gives the same walks in each run.
type memory struct {
	now   func() time.Time
	limit int // flows; 0: none
	index map[record.FlowKey]int
	cells []cell
	free  []int

	serial uint64                // of the last Begin
	begun  map[netip.Addr]uint64 // serial of a peer's
	broken error                 // what walks return, if not nil

	applied, walks, swept int
}

type cell struct {
	used bool
	flow record.Flow
	seen time.Time // last packet
	told uint64    // serial when a peer told it last
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, index: map[record.FlowKey]int{}, begun: map[netip.Addr]uint64{}}
}

// put sets a flow; false if there is no room.
func (m *memory) put(f record.Flow, told uint64) bool {
	c := cell{used: true, flow: f, seen: m.now().Add(-f.Idle), told: told}
	at, ok := m.index[f.Key]
	switch {
	case ok:
		m.cells[at] = c
	case m.limit > 0 && len(m.index) >= m.limit:
		return false
	case len(m.free) > 0:
		at = m.free[len(m.free)-1]
		m.free = m.free[:len(m.free)-1]
		m.cells[at], m.index[f.Key] = c, at
	default:
		m.index[f.Key] = len(m.cells)
		m.cells = append(m.cells, c)
	}
	return true
}

func (m *memory) get(k record.FlowKey) (record.Flow, bool) {
	at, ok := m.index[k]
	if !ok {
		return record.Flow{}, false
	}
	f := m.cells[at].flow
	f.Idle = m.now().Sub(m.cells[at].seen)
	return f, true
}

func (m *memory) drop(k record.FlowKey) bool {
	at, ok := m.index[k]
	if ok {
		m.cells[at] = cell{}
		m.free = append(m.free, at)
		delete(m.index, k)
	}
	return ok
}

func (m *memory) Apply(_ netip.Addr, changes []conntrack.Change[record.Flow]) {
	m.applied += len(changes)
	for i := range changes {
		changes[i].Outcome = m.apply(&changes[i])
	}
}

func (m *memory) apply(c *conntrack.Change[record.Flow]) conntrack.Outcome {
	at, ok := m.index[c.Record.Key]
	switch {
	case c.Op == wire.Delete && !ok:
		return conntrack.Same
	case c.Op == wire.Delete && c.Own:
		return conntrack.Kept
	case c.Op == wire.Delete:
		m.drop(c.Record.Key)
		return conntrack.Removed
	case !ok && m.put(c.Record, m.serial):
		return conntrack.Added
	case !ok:
		return conntrack.Failed
	}
	have := &m.cells[at]
	have.told = m.serial
	same := have.flow.Target == c.Record.Target && have.flow.Closing == c.Record.Closing
	idle := m.now().Sub(have.seen)
	switch {
	case c.Own && idle <= c.Record.Idle+time.Second:
		if same {
			return conntrack.Same
		}
		return conntrack.Kept
	case same:
		have.seen = m.now().Add(-c.Record.Idle)
		return conntrack.Same
	}
	m.put(c.Record, m.serial)
	return conntrack.Altered
}

func (m *memory) Begin(from netip.Addr) {
	m.serial++
	m.begun[from] = m.serial
}

func (m *memory) Sweep(from netip.Addr) conntrack.Sweeper {
	return &sweeper{m: m, below: m.begun[from]}
}

type sweeper struct {
	m     *memory
	below uint64
	at    int
}

func (s *sweeper) Next(scope []record.Address, visits int) (dropped int, err error) {
	for range visits {
		if s.at >= len(s.m.cells) {
			return dropped, io.EOF
		}
		c := &s.m.cells[s.at]
		if c.used && c.told < s.below && slices.Contains(scope, c.flow.Key.VIP) {
			s.m.drop(c.flow.Key)
			s.m.swept++
			dropped++
		}
		s.at++
	}
	return dropped, nil
}

func (s *sweeper) Close() {}

var errBroken = errors.New("table cannot be read")

func (m *memory) Walk(scope []record.Address) conntrack.Walker[record.Flow] {
	m.walks++
	return &walker{m: m, scope: slices.Clone(scope)}
}

type walker struct {
	m     *memory
	scope []record.Address
	at    int
}

func (w *walker) Next(buf []record.Flow) (n int, err error) {
	if w.m.broken != nil {
		return 0, w.m.broken
	}
	for n < len(buf) {
		if w.at >= len(w.m.cells) {
			return n, io.EOF
		}
		c := &w.m.cells[w.at]
		w.at++
		if c.used && slices.Contains(w.scope, c.flow.Key.VIP) {
			buf[n] = c.flow
			buf[n].Idle = w.m.now().Sub(c.seen)
			n++
		}
	}
	return n, nil
}

func (w *walker) Close() {}
