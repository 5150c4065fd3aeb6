// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"errors"
	"fmt"
	"io"
	"time"

	"hafast/pkg/conntrack/record"
)

const (
	// minPiece and maxPiece bound how many records are read from a table at once: about
	// what a datagram has room for.
	minPiece = 64
	maxPiece = 512
	// minAuditRate, in records a second, is for small tables: they are done sooner.
	minAuditRate = 1000
	// endDelay is between the last record of an audit and its End. What was deleted
	// before it was read has been told by then, and is not taken for a lost delete: it may
	// have been looked for 10 ms late, and have waited in the outbox.
	endDelay = 30 * time.Millisecond
	// auditArrears is how much of what is late with an audit is made up for.
	auditArrears = 10 * time.Millisecond
	// walkPause is when a table is asked again that had nothing ready.
	walkPause = time.Millisecond
	// walkRetry is when a walk is tried again whose table could not be read.
	walkRetry = time.Second
)

// walk reads a table for a peer, for a resync or an audit. Times are counted from the
// engine's start.
type walk[R any] struct {
	active bool
	audit  bool
	begun  bool // its Begin has been told
	// generation of this walk, from 1 on.
	generation uint32
	reader     Walker[R]
	buf        []R
	rest       []R // of buf: what was read and not told
	readAt     time.Duration
	ended      bool // all has been read

	told    uint64 // records since Begin, news among them
	walked  uint64 // those that the walk itself has read
	lasted  uint64 // that the last whole walk has read
	started time.Duration
	due     time.Duration // when the next piece is, or the next walk
	err     error         // why the last one could not be finished
}

// start begins a walk anew. It is told from the next batch on.
func (w *walk[R]) start(now time.Duration, audit bool) {
	w.stop()
	w.generation++
	w.active, w.audit = true, audit
	w.walked = 0
	w.started, w.due = now, now
}

// stop ends the walk wherever it is.
func (w *walk[R]) stop() {
	if w.reader != nil {
		w.reader.Close()
		w.reader = nil
	}
	w.active, w.begun, w.ended = false, false, false
	w.rest = nil
}

// finish is for a walk whose End has been told; the next one is due a period after it
// has begun.
func (w *walk[R]) finish(now, period time.Duration) {
	w.stop()
	w.lasted, w.err = w.walked, nil
	w.due = max(now, w.started+period)
}

// fail gives a walk up.
func (w *walk[R]) fail(now time.Duration, err error) {
	w.stop()
	w.err = fmt.Errorf("read table: %w", err)
	w.due = now + walkRetry
}

// read fills rest from the table, with about so many records.
func (w *walk[R]) read(now time.Duration, piece int) error {
	piece = min(max(piece, minPiece), maxPiece)
	if len(w.buf) < piece {
		w.buf = make([]R, piece)
	}
	n, err := w.reader.Next(w.buf[:piece])
	w.rest, w.readAt = w.buf[:n], now
	w.walked += uint64(n)
	if errors.Is(err, io.EOF) {
		w.ended, err = true, nil
	}
	return err
}

// pace sets when an audit goes on after so many records: it is spread over its period.
func (w *walk[R]) pace(now time.Duration, records int, p auditPace) {
	rate := min(max(float64(w.lasted)/p.period.Seconds(), minAuditRate), p.rate)
	w.due = max(w.due, now-auditArrears) + time.Duration(float64(records)/rate*float64(time.Second))
}

// auditPace is how audits are spread.
type auditPace struct {
	period time.Duration
	rate   float64 // at most, in records a second
}

// plan is what a lane needs to know for a walk.
type plan struct {
	told []record.Address // the VIPs that this host is Active for
	read []record.Address // those, and what is still owed of others
	room int              // of a batch, in bytes
	pace auditPace
}
