// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"time"

	"hafast/pkg/conntrack/wire"
)

// delivery is what an ack has told for the first time.
type delivery struct {
	batches int       // that have arrived
	lost    uint64    // highest that is newly known to be lost; 0: none
	sentAt  time.Time // when the highest that arrived, of those sent once, was sent
}

// Ack takes in what the receiver tells. It returns the lag of each batch that is done
// with and has an Oldest: the time from that change until now. The slice is good until
// the next call.
func (s *Sender) Ack(now time.Time, a wire.Ack) []time.Duration {
	s.lags = s.lags[:0]
	switch {
	case s.epoch == 0 || a.Epoch != s.epoch || a.Next < s.first:
		return nil // overtaken by a later one
	case a.Next > s.sent+1:
		s.figures.Odd++
		return nil
	}
	s.heard, s.silent = now, 0
	s.fresh = delivery{}
	s.release(now, a.Next)
	s.sift(now, a.Missing)
	if s.fresh.batches > 0 {
		s.stirred = now
		s.flight.grow(s.fresh.batches)
	}
	if !s.fresh.sentAt.IsZero() {
		s.rtt.sample(now.Sub(s.fresh.sentAt))
	}
	if s.fresh.lost > 0 {
		s.flight.halve(s.fresh.lost, s.sent)
	}
	return s.lags
}

// release lets go of the batches below next.
func (s *Sender) release(now time.Time, next uint64) {
	for ; s.first < next; s.first++ {
		s.arrive(s.first)
		at := s.slot(s.first)
		s.figures.Bytes -= len(at.batch.Payload)
		s.figures.Changes -= at.batch.Changes
		if !at.batch.Oldest.IsZero() {
			s.lags = append(s.lags, now.Sub(at.batch.Oldest))
		}
		at.batch = Batch{}
	}
	s.cursor = max(s.cursor, s.first)
}

// sift tells by the gaps what has arrived and what is lost. About what lies above the
// last gap they say nothing.
func (s *Sender) sift(now time.Time, gaps []wire.Range) {
	from := s.first
	for _, gap := range gaps {
		start, end := max(gap.From, from), min(gap.To, s.sent)
		if start > s.sent+1 || end < from {
			continue // it is odd, or nothing new
		}
		for n := from; n < start; n++ {
			s.arrive(n)
		}
		if gap.To == openEnd {
			return
		}
		for n := start; n <= end; n++ {
			s.report(now, n)
		}
		from = end + 1
	}
}

// arrive notes that a batch is at the receiver.
func (s *Sender) arrive(number uint64) {
	at := s.slot(number)
	switch at.state {
	case held, waiting:
		return
	case away:
		s.flight.land()
	case missing:
		s.lost--
	}
	at.state = held
	s.fresh.batches++
	if at.sendings == 1 { // of others nobody knows which of the sendings it was
		s.fresh.sentAt = at.sentAt
	}
}

// report notes that the receiver lacks a batch. What was sent again less than a round
// trip ago may still come; what has arrived is reported by an ack that was overtaken.
func (s *Sender) report(now time.Time, number uint64) {
	at := s.slot(number)
	if (at.sendings > 1 || at.state == held) && now.Sub(at.sentAt) < s.rtt.patience() {
		return
	}
	if s.miss(number) {
		s.fresh.lost = number
	}
}

// miss has a batch sent again. It reports whether that is news.
func (s *Sender) miss(number uint64) bool {
	at := s.slot(number)
	switch at.state {
	case missing, waiting:
		return false
	case away:
		s.flight.land()
	case held: // the receiver has dropped it
	}
	at.state = missing
	s.lost++
	s.cursor = min(s.cursor, number)
	return true
}
