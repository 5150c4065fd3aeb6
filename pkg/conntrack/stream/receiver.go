// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"time"

	"hafast/pkg/conntrack/wire"
)

// Receiver is the receiving end of a stream. It is not safe for concurrent use.
//
// What a peer can make it hold is bounded by its Limits, plus a few words for each
// number that it could hold.
type Receiver struct {
	limits Limits
	epoch  uint32
	next   uint64   // lowest that has not arrived
	top    uint64   // highest that is known to have been sent, or next-1
	early  [][]byte // a ring: number n > next is in early[n % len(early)]; nil: not here
	gaps   gaps     // between next and top: what is in none is in early

	acked   time.Time // when the last ack left
	pending int       // datagrams since
	urgent  bool      // the next ack is to leave soon
	repeats int       // acks that may still leave although nothing has come since

	ready   [][]byte
	missing []wire.Range
	figures ReceiverFigures
}

// ReceiverFigures are what a Receiver tells of itself. The counters run on through
// epochs.
type ReceiverFigures struct {
	Held      int // batches that came early
	HeldBytes int // of their payloads

	Delivered  uint64 // batches handed on
	Early      uint64 // that were held for a while
	Duplicates uint64 // batches that had come already
	Overflows  uint64 // batches that were dropped for the limits
	Old        uint64 // batches and tips of former epochs
}

// NewReceiver returns a receiver that takes the first epoch it hears of.
func NewReceiver(l Limits) *Receiver {
	l = l.withDefaults()
	return &Receiver{limits: l, early: make([][]byte, l.Batches), next: 1}
}

// Epoch is that of the batches handed out last; 0 before the first. When Receive or
// Tip has changed it, the stream has begun anew.
func (r *Receiver) Epoch() uint32 { return r.epoch }

// Next is the lowest number that has not arrived.
func (r *Receiver) Next() uint64 { return r.next }

// Figures are the current ones.
func (r *Receiver) Figures() ReceiverFigures { return r.figures }

// Receive takes in a batch and returns the payloads that are in order now: none, this
// one, or this one and those that have waited for it. Payload may be written to after
// the next call: what has to wait is copied. The slice is good until the next call.
func (r *Receiver) Receive(now time.Time, epoch uint32, number uint64, payload []byte) [][]byte {
	clear(r.ready)
	r.ready = r.ready[:0]
	if !r.enter(epoch) || number == 0 {
		return nil
	}
	r.pending++
	switch {
	case number < r.next:
		r.figures.Duplicates++
	case number == r.next:
		r.deliver(number, payload)
	case number-r.next >= uint64(len(r.early)):
		r.figures.Overflows++
	case *r.place(number) != nil:
		r.figures.Duplicates++
	case r.figures.HeldBytes+len(payload) > r.limits.Bytes:
		r.figures.Overflows++
	default:
		r.hold(now, number, payload)
	}
	return r.ready
}

// enter reports whether the epoch is the current one, after moving on to a newer one.
func (r *Receiver) enter(epoch uint32) bool {
	if epoch < r.epoch || epoch == 0 {
		r.figures.Old++
		return false
	}
	if epoch > r.epoch {
		r.epoch, r.next, r.top = epoch, 1, 0
		clear(r.early)
		r.figures.Held, r.figures.HeldBytes = 0, 0
		r.gaps.reset()
		r.pending, r.repeats, r.urgent = 0, 0, true // so that the sender soon knows the round trip
	}
	return true
}

// deliver hands on the lowest number and all that have waited for it.
func (r *Receiver) deliver(number uint64, payload []byte) {
	if number <= r.top {
		r.fill(number)
	}
	r.ready = append(r.ready, payload)
	for r.next++; *r.place(r.next) != nil; r.next++ {
		at := r.place(r.next)
		r.ready = append(r.ready, *at)
		r.figures.Held--
		r.figures.HeldBytes -= len(*at)
		*at = nil
	}
	r.top = max(r.top, r.next-1)
	r.figures.Delivered += uint64(len(r.ready))
}

// hold keeps what came early.
func (r *Receiver) hold(now time.Time, number uint64, payload []byte) {
	if number <= r.top {
		r.fill(number)
	} else {
		r.gaps.open(r.top+1, number-1, now.Add(gapAge))
		r.top = number
	}
	kept := make([]byte, len(payload)) // never nil, even if it is empty
	copy(kept, payload)
	*r.place(number) = kept
	r.figures.Early++
	r.figures.Held++
	r.figures.HeldBytes += len(payload)
}

// fill takes a number out of its gap. The sender is told soon, for what it waits for
// has come (RFC 5681 section 4.2).
func (r *Receiver) fill(number uint64) {
	r.gaps.fill(number)
	r.urgent = true
}

// Tip takes in how far the sender has sent. It is sent when acks stand still, so an ack
// is due, and every gap is told.
func (r *Receiver) Tip(now time.Time, t wire.Tip) {
	if !r.enter(t.Epoch) {
		return
	}
	r.urgent = true
	// What could not be held need not be sent yet.
	last := min(t.Last, r.next+uint64(len(r.early))-1)
	if last > r.top {
		r.gaps.open(r.top+1, last, now)
		r.top = last
	}
	r.gaps.ripen(now)
}

// Ack returns what is to be told to the sender, if an ack is due. It counts as sent
// then. Missing is good until the next call.
func (r *Receiver) Ack(now time.Time) (ack wire.Ack, due bool) {
	at := r.Deadline()
	if at.IsZero() || now.Before(at) {
		return wire.Ack{}, false
	}
	if r.pending > 0 || r.urgent {
		r.repeats = maxRepeats
	} else {
		r.repeats--
	}
	r.acked, r.pending, r.urgent = now, 0, false
	r.missing = r.gaps.tell(now, r.top, r.missing[:0])
	return wire.Ack{Epoch: r.epoch, Next: r.next, Missing: r.missing}, true
}

// Deadline is when an ack will be due, perhaps in the past; zero if nothing has come
// since the last one and there is no gap, or it has been told often enough.
func (r *Receiver) Deadline() time.Time {
	var at time.Time
	switch {
	case r.urgent:
		at = r.acked.Add(ackSpacing)
	case r.pending >= ackEvery:
		at = r.acked.Add(1) // at once; the zero time would mean never
	case r.pending > 0, r.next <= r.top && r.repeats > 0:
		at = r.acked.Add(ackInterval)
	}
	if ripe, ok := r.gaps.ripe(); ok {
		if spaced := r.acked.Add(ackSpacing); ripe.Before(spaced) {
			ripe = spaced
		}
		if at.IsZero() || ripe.Before(at) {
			at = ripe
		}
	}
	return at
}

func (r *Receiver) place(number uint64) *[]byte {
	return &r.early[number%uint64(len(r.early))]
}
