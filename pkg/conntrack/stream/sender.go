// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"time"

	"hafast/pkg/conntrack/wire"
)

// Batch is what travels under one number.
type Batch struct {
	// Payload is the sender's from Push on until it is acknowledged: do not write to it.
	Payload []byte
	// Oldest is the time of the oldest change in it, from which lag is measured. The
	// zero time: the batch has none (it is part of a walk) and gives no lag.
	Oldest time.Time
	// Changes is how many changes it tells, for the figures alone.
	Changes int
}

// Sender is the sending end of a stream. It is not safe for concurrent use.
//
// After each Push, Ack and Tick call Next until it has nothing, and Tip.
type Sender struct {
	limits Limits
	epoch  uint32
	slots  []slot // a ring: number n is in slots[n % len(slots)]
	first  uint64 // lowest that is not acknowledged
	sent   uint64 // highest that has been sent
	last   uint64 // highest that has been pushed
	lost   int    // batches in state missing
	cursor uint64 // no batch below it is in state missing
	flight flight
	rtt    roundTrip

	stirred time.Time // acks stand still since: last progress, or first batch after none
	heard   time.Time // last ack
	silent  int       // timeouts since
	tipDue  bool
	probe   bool // a batch may leave although the window is used up

	fresh   delivery // what the ack in hand has told
	lags    []time.Duration
	figures SenderFigures
}

// SenderFigures are what a Sender tells of itself. The counters run on through epochs.
type SenderFigures struct {
	UnderWay int       // batches pushed and not acknowledged
	Bytes    int       // of their payloads
	Changes  int       // that they tell
	Oldest   time.Time // of the changes in them; zero: there is none

	Window     int           // batches that may be on their way at once
	RoundTrip  time.Duration // smoothed; 0 before the first ack
	Sent       uint64        // batches sent, those sent again included
	Resent     uint64        // batches sent again
	Timeouts   uint64        // tips sent because acks stood still
	Odd        uint64        // acks of numbers that were never sent
	Superseded uint64        // batches dropped by a new epoch
}

type state uint8

const (
	waiting state = iota // not sent yet
	away                 // on its way
	missing              // known to be lost, to be sent again
	held                 // arrived, but the receiver still lacks a lower one
)

type slot struct {
	batch    Batch
	sentAt   time.Time // the last time
	sendings int
	state    state
}

// NewSender returns a sender without an epoch: nothing can be pushed before NewEpoch.
func NewSender(l Limits) *Sender {
	l = l.withDefaults()
	return &Sender{limits: l, slots: make([]slot, l.Batches), first: 1, flight: newFlight()}
}

// Epoch is the current one; 0 before the first.
func (s *Sender) Epoch() uint32 { return s.epoch }

// NewEpoch drops everything that is under way and returns the new epoch, one above the
// last. Its first batch gets number 1.
func (s *Sender) NewEpoch() uint32 {
	s.figures.Superseded += uint64(s.underWay())
	clear(s.slots)
	s.epoch++
	s.first, s.sent, s.last = 1, 0, 0
	s.lost, s.cursor = 0, 1
	s.flight.restart()
	s.silent, s.tipDue, s.probe = 0, false, false
	s.figures.Bytes, s.figures.Changes = 0, 0
	return s.epoch
}

// Room is how many batches can be pushed that would leave at once; 0 if the limits, or
// the window, are used up. If it is not 0, the next batch is taken, whatever its size. A
// caller that pushes only then keeps what waits where it still coalesces.
func (s *Sender) Room() int {
	if s.epoch == 0 || s.figures.Bytes >= s.limits.Bytes {
		return 0
	}
	queued := s.lost + int(s.last-s.sent)
	return max(0, min(s.flight.open()-queued, len(s.slots)-s.underWay()))
}

// Push appends a batch. It is false, and the batch is not taken, if the limits are used
// up or there is no epoch. The batch that uses up the bytes may go beyond them.
func (s *Sender) Push(b Batch) bool {
	if s.epoch == 0 || s.underWay() == len(s.slots) || s.figures.Bytes >= s.limits.Bytes {
		return false
	}
	s.last++
	*s.slot(s.last) = slot{batch: b}
	s.figures.Bytes += len(b.Payload)
	s.figures.Changes += b.Changes
	return true
}

// Next returns a batch that is to be sent now, and counts it as sent. It is not ok if
// there is none, or as many are on their way as the window allows.
func (s *Sender) Next(now time.Time) (epoch uint32, number uint64, payload []byte, ok bool) {
	if s.flight.open() <= 0 && !s.probe {
		return 0, 0, nil, false
	}
	number, ok = s.pick(now)
	if !ok {
		return 0, 0, nil, false
	}
	s.probe = false
	at := s.slot(number)
	at.sentAt, at.state = now, away
	at.sendings++
	s.flight.depart()
	s.figures.Sent++
	return s.epoch, number, at.batch.Payload, true
}

// pick finds the lowest lost batch, else the next that was not sent yet.
func (s *Sender) pick(now time.Time) (uint64, bool) {
	if s.lost > 0 {
		for s.slot(s.cursor).state != missing {
			s.cursor++
		}
		s.lost--
		s.figures.Resent++
		return s.cursor, true
	}
	if s.sent == s.last {
		return 0, false
	}
	if s.sent < s.first { // everything before is acknowledged
		if now.Sub(s.heard) > s.rtt.timeout(0) {
			s.flight.rest()
		}
		s.stirred = now
	}
	s.sent++
	return s.sent, true
}

// Tip is how far the stream has been sent. It is to be sent if due, and counts as sent
// then.
func (s *Sender) Tip() (tip wire.Tip, due bool) {
	due, s.tipDue = s.tipDue, false
	return wire.Tip{Epoch: s.epoch, Last: s.sent}, due
}

// Deadline is when to call Tick; zero if nothing is to be waited for.
func (s *Sender) Deadline() time.Time {
	if s.sent < s.first {
		return time.Time{}
	}
	// A receiver that has just sent an ack takes its time before the next.
	from := s.heard.Add(ackInterval)
	if from.Before(s.stirred) {
		from = s.stirred
	}
	return from.Add(s.rtt.timeout(s.silent))
}

// Tick notices that acks stand still. A tip is due then; and if the last one was not
// answered either, a batch.
func (s *Sender) Tick(now time.Time) {
	deadline := s.Deadline()
	if deadline.IsZero() || now.Before(deadline) {
		return
	}
	s.tipDue = true
	s.stirred = now
	s.silent++
	s.figures.Timeouts++
	if s.silent > 1 {
		s.flight.rest()
		s.miss(s.first)
		s.probe = true
	}
}

// Figures are the current ones.
func (s *Sender) Figures() SenderFigures {
	f := s.figures
	f.UnderWay = s.underWay()
	f.Window, f.RoundTrip = s.flight.window, s.rtt.smooth
	for n := s.first; n <= s.last; n++ {
		oldest := s.slot(n).batch.Oldest
		if f.Oldest.IsZero() || !oldest.IsZero() && oldest.Before(f.Oldest) {
			f.Oldest = oldest
		}
	}
	return f
}

func (s *Sender) underWay() int { return int(s.last + 1 - s.first) }

func (s *Sender) slot(number uint64) *slot { return &s.slots[number%uint64(len(s.slots))] }
