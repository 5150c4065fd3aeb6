// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"math"

	"hafast/pkg/conntrack/wire"
)

// checker is what tests and properties have in common.
type checker interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkSender counts again what a sender keeps count of.
func checkSender(t checker, s *Sender) {
	t.Helper()
	var bytes, lost, underWay int
	for n := s.first; n <= s.last; n++ {
		at := s.slot(n)
		bytes += len(at.batch.Payload)
		switch at.state {
		case away:
			underWay++
		case missing:
			lost++
			if n < s.cursor {
				t.Fatalf("batch %d is to be sent again, but is below the cursor %d", n, s.cursor)
			}
		}
		if waits := at.state == waiting; waits != (n > s.sent) {
			t.Fatalf("batch %d is in state %d, and %d have been sent", n, at.state, s.sent)
		}
	}
	if bytes != s.figures.Bytes || lost != s.lost || underWay != s.flight.away {
		t.Fatalf("counted %d bytes, %d lost, %d away; the sender has %d, %d, %d",
			bytes, lost, underWay, s.figures.Bytes, s.lost, s.flight.away)
	}
	youngest := 0
	if s.last >= s.first {
		youngest = len(s.slot(s.last).batch.Payload)
	}
	if s.underWay() > s.limits.Batches || bytes-youngest > s.limits.Bytes {
		t.Fatalf("%d batches of %d bytes are held, limits are %+v", s.underWay(), bytes, s.limits)
	}
	if w := s.flight.window; w < minWindow || w > maxWindow {
		t.Fatalf("the window is %d", w)
	}
	if s.Room() < 0 {
		t.Fatalf("there is room for %d", s.Room())
	}
	if waits := !s.Deadline().IsZero(); waits != (s.sent >= s.first) {
		t.Fatalf("sent %d, acknowledged below %d, deadline %v", s.sent, s.first, s.Deadline())
	}
}

// checkReceiver makes sure that each number between next and top is either in a gap or
// here, and nothing else is.
func checkReceiver(t checker, r *Receiver) {
	t.Helper()
	if r.top+1 < r.next || r.top-r.next+1 > uint64(len(r.early)) {
		t.Fatalf("next is %d and top %d with %d places", r.next, r.top, len(r.early))
	}
	var held, bytes int
	i := 0
	for n := r.next; n <= r.top; n++ {
		for i < len(r.gaps.all) && r.gaps.all[i].to < n {
			i++
		}
		inGap := i < len(r.gaps.all) && r.gaps.all[i].from <= n
		here := *r.place(n)
		if inGap == (here != nil) {
			t.Fatalf("number %d: in a gap %v, here %v; gaps %v", n, inGap, here != nil, r.gaps.all)
		}
		if here != nil {
			held++
			bytes += len(here)
		}
	}
	if held != r.figures.Held || bytes != r.figures.HeldBytes {
		t.Fatalf("counted %d batches of %d bytes, figures are %+v", held, bytes, r.figures)
	}
	if bytes > r.limits.Bytes || held >= r.limits.Batches {
		t.Fatalf("%d batches of %d bytes are held, limits are %+v", held, bytes, r.limits)
	}
	checkGaps(t, r)
}

func checkGaps(t checker, r *Receiver) {
	t.Helper()
	from := r.next
	for i, g := range r.gaps.all {
		if g.from < from || g.to < g.from || g.to > r.top {
			t.Fatalf("gaps are out of order, empty or beyond %d .. %d: %v", r.next, r.top, r.gaps.all)
		}
		if i > 0 && g.ripe.Before(r.gaps.all[i-1].ripe) {
			t.Fatalf("gap %d is ripe before the one below: %v", i, r.gaps.all)
		}
		from = g.to + 1
	}
}

// checkAck makes sure that an ack can be told on the wire as it is.
func checkAck(t checker, a wire.Ack) {
	t.Helper()
	if len(a.Missing) > wire.MaxRanges {
		t.Fatalf("an ack with %d ranges", len(a.Missing))
	}
	lowest := a.Next
	for _, g := range a.Missing {
		if g.From < lowest || g.To < g.From || g.To == math.MaxUint64 {
			t.Fatalf("ranges out of order: %+v", a)
		}
		lowest = g.To + 1
	}
}
