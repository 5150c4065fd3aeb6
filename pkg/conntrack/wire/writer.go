// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"

	"hafast/pkg/conntrack/record"
)

// group says of which kind a group's records are.
type group uint8

// The values are those on the wire.
const (
	groupFlows4  group = 1
	groupFlows6  group = 2
	groupEntries group = 3
	groupBegin   group = 4
	groupEnd     group = 5
)

const (
	groupHeaderSize = 4
	// minGroups has room for the largest entry.
	minGroups = 256
)

// BatchWriter writes the groups of a batch. It keeps the order of what it is told. It
// makes no garbage, and is not safe for concurrent use.
type BatchWriter struct {
	size    int
	buf     []byte
	records int

	// open is the kind of the last group, 0 if nothing can be added to it; start is where
	// it begins.
	open  group
	start int
	// targets are those of the last group, if it is of flows; target is the place of
	// the one that was used last.
	targets []record.Address
	target  int
}

// NewBatchWriter returns a BatchWriter whose groups take up to so many bytes: see
// MaxGroups. The size is kept within 256 and what a datagram can hold.
func NewBatchWriter(size int) *BatchWriter {
	size = min(max(size, minGroups), maxGroups)
	return &BatchWriter{size: size, buf: make([]byte, 0, size), targets: make([]record.Address, 0, maxTargets)}
}

// Reset begins another batch.
func (w *BatchWriter) Reset() {
	w.buf, w.targets = w.buf[:0], w.targets[:0]
	w.records, w.open, w.target = 0, 0, 0
}

// Groups returns what has been written. It is good until the next call of another method.
func (w *BatchWriter) Groups() []byte { return w.buf }

// Len returns the size of Groups in bytes.
func (w *BatchWriter) Len() int { return len(w.buf) }

// Records returns how many have been written; a Begin or an End is one.
func (w *BatchWriter) Records() int { return w.records }

// Entry writes a change of an entry. It returns false, having done nothing, if there is
// no room left. Of a Delete only the key goes.
func (w *BatchWriter) Entry(op Op, e *record.Entry) bool {
	fields := fieldsOf(op, e)
	if !w.room(groupEntries, fields.size()) {
		return false
	}
	w.begin(groupEntries)
	w.buf = appendEntry(w.buf, op, fields, e)
	w.done()
	return true
}

// Begin opens a walk. It returns false, having done nothing, if there is no room left.
// With a long Scope it may be larger than a batch: it is then taken into an empty one
// alone, which travels in IP fragments. A Scope over MaxScope is never taken.
func (w *BatchWriter) Begin(b Begin) bool {
	size := b.size()
	if len(b.Scope) > MaxScope || !w.room(groupBegin, size) && len(w.buf) > 0 {
		return false
	}
	w.begin(groupBegin)
	w.buf = appendBegin(w.buf, b)
	w.done()
	w.open = 0
	return true
}

// End closes a walk. It returns false, having done nothing, if there is no room left.
func (w *BatchWriter) End(e End) bool {
	if !w.room(groupEnd, endSize) {
		return false
	}
	w.begin(groupEnd)
	w.buf = appendEnd(w.buf, e)
	w.done()
	w.open = 0
	return true
}

// room reports whether so many more bytes of a group have room.
func (w *BatchWriter) room(g group, size int) bool {
	if w.open != g {
		size += groupHeaderSize
	}
	return len(w.buf)+size <= w.size
}

// begin opens a group, unless the last one is of this kind.
func (w *BatchWriter) begin(g group) {
	if w.open != g {
		w.open, w.start = g, len(w.buf)
		w.buf = append(w.buf, byte(g), 0, 0, 0)
	}
}

// done books a record that has been appended.
func (w *BatchWriter) done() {
	binary.BigEndian.PutUint16(w.buf[w.start+2:], uint16(len(w.buf)-w.start-groupHeaderSize))
	w.records++
}
