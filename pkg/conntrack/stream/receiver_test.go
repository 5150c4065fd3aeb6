// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"math"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack/stream/simnet"
	"hafast/pkg/conntrack/wire"
)

// at is a time that long after the simulated beginning.
func at(d time.Duration) time.Time { return simnet.Epoch.Add(d) }

// receive feeds a batch whose payload is its number, and returns what comes out.
func receive(r *Receiver, now time.Time, epoch uint32, number byte) []byte {
	return slices.Concat(r.Receive(now, epoch, uint64(number), []byte{number})...)
}

func TestOrder(t *testing.T) {
	r := NewReceiver(Limits{})
	for _, step := range []struct {
		number byte
		want   []byte
	}{
		{1, []byte{1}},
		{1, nil}, // again
		{4, nil},
		{3, nil},
		{4, nil}, // again, while it waits
		{2, []byte{2, 3, 4}},
		{3, nil}, // again, after it was handed on
		{5, []byte{5}},
	} {
		if got := receive(r, at(0), 1, step.number); !slices.Equal(got, step.want) {
			t.Fatalf("%d brought %v, want %v", step.number, got, step.want)
		}
		checkReceiver(t, r)
	}
	if f := r.Figures(); f.Delivered != 5 || f.Duplicates != 3 || f.Early != 2 {
		t.Errorf("figures are %+v", f)
	}
}

// What waits is a copy: the caller reads the next datagram into the same memory.
func TestEarlyBatchIsCopied(t *testing.T) {
	r := NewReceiver(Limits{})
	buffer := []byte("two")
	r.Receive(at(0), 1, 2, buffer)
	copy(buffer, "one")
	if got := string(slices.Concat(r.Receive(at(0), 1, 1, buffer)...)); got != "onetwo" {
		t.Errorf("got %q", got)
	}
}

func TestEpochs(t *testing.T) {
	r := NewReceiver(Limits{})
	receive(r, at(0), 3, 1)
	receive(r, at(0), 3, 3)
	if got := receive(r, at(0), 2, 2); got != nil || r.Figures().Old != 1 {
		t.Errorf("an old epoch brought %v", got)
	}
	if got := r.Receive(at(0), 3, 0, []byte{9}); len(got) != 0 {
		t.Errorf("number 0 brought %v", got)
	}
	if got := receive(r, at(0), 5, 2); got != nil || r.Epoch() != 5 || r.Next() != 1 || r.Figures().Held != 1 {
		t.Errorf("a newer epoch brought %v; epoch %d, next %d, %+v", got, r.Epoch(), r.Next(), r.Figures())
	}
	if got := receive(r, at(0), 5, 1); !slices.Equal(got, []byte{1, 2}) {
		t.Errorf("got %v of the new epoch", got)
	}
	r.Tip(at(0), wire.Tip{Epoch: 7})
	if r.Epoch() != 7 || r.Next() != 1 {
		t.Errorf("after a tip of epoch 7 it is %d", r.Epoch())
	}
	checkReceiver(t, r)
}

// acks runs a receiver by its deadlines and writes down when it acknowledges.
func acks(t *testing.T, r *Receiver, from, until time.Duration) (times []time.Duration, last wire.Ack) {
	t.Helper()
	for {
		d := r.Deadline()
		if d.IsZero() || d.After(at(until)) {
			return times, last
		}
		if d.Before(at(from)) {
			d = at(from)
		}
		a, due := r.Ack(d)
		if !due {
			t.Fatalf("no ack is due at the deadline %v", d)
		}
		checkAck(t, a)
		times, last = append(times, d.Sub(simnet.Epoch)), a
		last.Missing = slices.Clone(a.Missing)
	}
}

// acked is a receiver that has got 1 and has acknowledged it just now.
func acked(t *testing.T) *Receiver {
	t.Helper()
	r := NewReceiver(Limits{})
	receive(r, at(0), 1, 1)
	if _, due := r.Ack(at(0)); !due {
		t.Fatal("the first batch of an epoch brought no ack at once")
	}
	return r
}

func TestWhenAcksAreDue(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // since the last ack
		feed  func(*Receiver, time.Time)
		times []time.Duration
		ack   wire.Ack
	}{
		{"nothing", ms, func(*Receiver, time.Time) {}, nil, wire.Ack{}},
		{
			"in order", ms,
			func(r *Receiver, now time.Time) { receive(r, now, 1, 2) },
			[]time.Duration{10 * ms},
			wire.Ack{Epoch: 1, Next: 3},
		},
		{
			"in order, after a while", 20 * ms,
			func(r *Receiver, now time.Time) { receive(r, now, 1, 2) },
			[]time.Duration{20 * ms},
			wire.Ack{Epoch: 1, Next: 3},
		},
		{
			"a duplicate", ms,
			func(r *Receiver, now time.Time) { receive(r, now, 1, 1) },
			[]time.Duration{10 * ms},
			wire.Ack{Epoch: 1, Next: 2},
		},
		{
			"many", ms / 2,
			func(r *Receiver, now time.Time) {
				for n := range byte(ackEvery) {
					receive(r, now, 1, n+2)
				}
			},
			[]time.Duration{ms / 2},
			wire.Ack{Epoch: 1, Next: ackEvery + 2},
		},
		{
			"a gap, and repeated", 3 * ms,
			func(r *Receiver, now time.Time) { receive(r, now, 1, 3) },
			[]time.Duration{5 * ms, 15 * ms, 25 * ms, 35 * ms},
			wire.Ack{Epoch: 1, Next: 2, Missing: []wire.Range{{From: 2, To: 2}, {From: 4, To: openEnd}}},
		},
		{
			"reordering", ms / 2,
			func(r *Receiver, now time.Time) { receive(r, now, 1, 3); receive(r, now, 1, 2) },
			[]time.Duration{ms},
			wire.Ack{Epoch: 1, Next: 4},
		},
		{
			"a tip that shows loss", 5 * ms,
			func(r *Receiver, now time.Time) { r.Tip(now, wire.Tip{Epoch: 1, Last: 3}) },
			[]time.Duration{5 * ms, 15 * ms, 25 * ms, 35 * ms},
			wire.Ack{Epoch: 1, Next: 2, Missing: []wire.Range{{From: 2, To: 3}}},
		},
		{
			"a tip that shows none", 5 * ms,
			func(r *Receiver, now time.Time) { r.Tip(now, wire.Tip{Epoch: 1, Last: 1}) },
			[]time.Duration{5 * ms},
			wire.Ack{Epoch: 1, Next: 2},
		},
		{
			"tips without end", 0,
			func(r *Receiver, now time.Time) { r.Tip(now, wire.Tip{Epoch: 1, Last: 1}) },
			[]time.Duration{ms},
			wire.Ack{Epoch: 1, Next: 2},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := acked(t)
			c.feed(r, at(c.after))
			times, last := acks(t, r, c.after, time.Second)
			if !slices.Equal(times, c.times) {
				t.Errorf("acks at %v, want %v", times, c.times)
			}
			if last.Epoch != c.ack.Epoch || last.Next != c.ack.Next || !slices.Equal(last.Missing, c.ack.Missing) {
				t.Errorf("the last ack is %+v, want %+v", last, c.ack)
			}
		})
	}
}

// Gaps that are not told yet must not seem to have arrived.
func TestYoungGapIsNotPassedOver(t *testing.T) {
	r := acked(t)
	receive(r, at(0), 1, 3)
	receive(r, at(ms), 1, 4)
	receive(r, at(ms), 1, 6)
	a, _ := r.Ack(at(2 * ms))
	want := []wire.Range{{From: 2, To: 2}, {From: 5, To: openEnd}}
	if !slices.Equal(a.Missing, want) {
		t.Errorf("told %v, want %v", a.Missing, want)
	}
}

// What a broken peer can make a receiver hold.
func TestHoldingIsBounded(t *testing.T) {
	r := NewReceiver(Limits{Batches: 100, Bytes: 1000})
	now := at(0)
	for n := uint64(1000); n > 1; n-- {
		r.Receive(now, 1, n, make([]byte, 30))
		now = now.Add(ms)
	}
	checkReceiver(t, r)
	if f := r.Figures(); f.HeldBytes != 990 || f.Overflows != 999-33 {
		t.Errorf("figures are %+v", f)
	}
	for n := uint64(1000); n > 1; n-- {
		r.Receive(now, 2, n, nil)
	}
	checkReceiver(t, r)
	if f := r.Figures(); f.Held != 99 {
		t.Errorf("%d batches are held, want 99", f.Held)
	}
	r.Receive(now, 3, math.MaxUint64, []byte{1})
	r.Tip(now, wire.Tip{Epoch: 3, Last: math.MaxUint64})
	checkReceiver(t, r)
	a, due := r.Ack(now)
	if !due || !slices.Equal(a.Missing, []wire.Range{{From: 1, To: 100}}) {
		t.Errorf("due %v, told %+v", due, a)
	}
	if r.Tip(now, wire.Tip{Epoch: math.MaxUint32, Last: 1}); r.Epoch() != math.MaxUint32 {
		t.Errorf("the last of all epochs is %d", r.Epoch())
	}
}

// The ranges that a receiver tells are those that the wire takes.
func TestAckFitsTheWire(t *testing.T) {
	r := NewReceiver(Limits{})
	now := at(0)
	for n := uint64(2); n < 1000; n += 2 {
		r.Receive(now, 1, n, nil)
	}
	now = now.Add(gapAge)
	a, due := r.Ack(now)
	if !due || len(a.Missing) != wire.MaxRanges {
		t.Fatalf("due %v with %d ranges, want %d", due, len(a.Missing), wire.MaxRanges)
	}
	for n := uint64(1); n < 900; n += 2 {
		r.Receive(now, 1, n, nil)
	}
	now = now.Add(ackInterval)
	if a, _ = r.Ack(now); len(a.Missing) != 50 { // 901 .. 997, and that 998 is here
		t.Fatalf("%d ranges, want 50: %+v", len(a.Missing), a)
	}
	part := wire.AppendAck(nil, a)
	var back wire.Ack
	if err := wire.DecodeAck(part[wire.PartHeaderSize:], &back); err != nil {
		t.Fatalf("the wire refuses it: %v", err)
	}
	if last := back.Missing[49]; last != (wire.Range{From: 999, To: openEnd}) {
		t.Errorf("the last range is %+v", last)
	}
}
