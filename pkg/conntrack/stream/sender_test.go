// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"math"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack/wire"
)

// drain takes what is to be sent now.
func drain(s *Sender, now time.Time) (numbers []uint64) {
	for {
		_, number, _, ok := s.Next(now)
		if !ok {
			return numbers
		}
		numbers = append(numbers, number)
	}
}

// sending is a sender that has sent that many batches at the beginning.
func sending(t *testing.T, batches int) *Sender {
	t.Helper()
	s := NewSender(Limits{})
	s.NewEpoch()
	for range batches {
		if !s.Push(Batch{Payload: []byte{1}, Oldest: at(-ms), Changes: 2}) {
			t.Fatal("a batch was not taken")
		}
	}
	if sent := drain(s, at(0)); len(sent) != batches {
		t.Fatalf("sent %v of %d", sent, batches)
	}
	return s
}

func TestPushNeedsAnEpochAndRoom(t *testing.T) {
	s := NewSender(Limits{Batches: 3, Bytes: 10})
	if s.Push(Batch{}) || s.Room() != 0 {
		t.Error("a batch was taken before the first epoch")
	}
	if e := s.NewEpoch(); e != 1 || s.Epoch() != 1 {
		t.Errorf("the first epoch is %d", e)
	}
	for _, step := range []struct {
		size int
		want bool
	}{{20, true}, {0, false}} {
		if got := s.Push(Batch{Payload: make([]byte, step.size)}); got != step.want {
			t.Errorf("%d bytes were taken: %v", step.size, got)
		}
	}
	s.NewEpoch()
	for _, step := range []struct {
		size int
		want bool
	}{{5, true}, {4, true}, {0, true}, {0, false}} {
		if got := s.Push(Batch{Payload: make([]byte, step.size)}); got != step.want {
			t.Errorf("%d bytes were taken: %v, figures %+v", step.size, got, s.Figures())
		}
	}
	if f := s.Figures(); f.UnderWay != 3 || f.Bytes != 9 || f.Superseded != 1 {
		t.Errorf("figures are %+v", f)
	}
	checkSender(t, s)
}

// A caller that heeds Room has nothing that waits in the sender.
func TestRoomIsWhatLeavesAtOnce(t *testing.T) {
	s := NewSender(Limits{})
	s.NewEpoch()
	if s.Room() != minWindow {
		t.Fatalf("there is room for %d", s.Room())
	}
	for range minWindow {
		s.Push(Batch{})
	}
	if s.Room() != 0 {
		t.Errorf("there is room for %d after all was used up", s.Room())
	}
	if sent := drain(s, at(0)); len(sent) != minWindow || s.Room() != 0 {
		t.Errorf("%d left, then there is room for %d", len(sent), s.Room())
	}
	s.Ack(at(ms), wire.Ack{Epoch: 1, Next: 5})
	if s.Room() != 8 { // four have arrived, and the window grows by as many
		t.Errorf("there is room for %d after four have arrived", s.Room())
	}
}

func TestAckGivesLags(t *testing.T) {
	s := sending(t, 3)
	s.Push(Batch{})
	drain(s, at(0))
	if lags := s.Ack(at(ms), wire.Ack{Epoch: 1, Next: 3}); !slices.Equal(lags, []time.Duration{2 * ms, 2 * ms}) {
		t.Errorf("lags %v", lags)
	}
	if f := s.Figures(); f.UnderWay != 2 || f.Changes != 2 || !f.Oldest.Equal(at(-ms)) || f.RoundTrip != ms {
		t.Errorf("figures %+v", f)
	}
	if lags := s.Ack(at(2*ms), wire.Ack{Epoch: 1, Next: 5}); !slices.Equal(lags, []time.Duration{3 * ms}) {
		t.Errorf("lags %v; the last batch has none", lags)
	}
	if f := s.Figures(); f.UnderWay != 0 || f.Bytes != 0 || !f.Oldest.IsZero() {
		t.Errorf("figures %+v", f)
	}
}

func TestAcksThatMeanNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		ack  wire.Ack
		odd  uint64
	}{
		{"another epoch", wire.Ack{Epoch: 2, Next: 2}, 0},
		{"number 0", wire.Ack{Epoch: 1}, 0},
		{"never sent", wire.Ack{Epoch: 1, Next: 5}, 1},
		{"the highest", wire.Ack{Epoch: 1, Next: math.MaxUint64}, 1},
		{"missing what was never sent", wire.Ack{Epoch: 1, Next: 1, Missing: []wire.Range{{From: 5, To: 9}}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sending(t, 3)
			if lags := s.Ack(at(ms), c.ack); len(lags) != 0 {
				t.Errorf("lags %v", lags)
			}
			checkSender(t, s)
			if f := s.Figures(); f.UnderWay != 3 || f.Odd != c.odd || len(drain(s, at(ms))) != 0 {
				t.Errorf("figures %+v", f)
			}
		})
	}
}

func TestMissingIsSentAgainOnceARoundTrip(t *testing.T) {
	s := sending(t, 10)
	report := wire.Ack{Epoch: 1, Next: 2, Missing: []wire.Range{{From: 2, To: 3}, {From: 5, To: 5}, {From: 8, To: openEnd}}}
	for _, step := range []struct {
		after time.Duration
		want  []uint64
	}{
		{3 * ms, []uint64{2, 3, 5}},
		{4 * ms, nil}, // the report was under way
		{3*ms + patienceAfter(3*ms) - 1, nil},
		{3*ms + patienceAfter(3*ms), []uint64{2, 3, 5}},
	} {
		s.Ack(at(step.after), report)
		if got := drain(s, at(step.after)); !slices.Equal(got, step.want) {
			t.Errorf("after %v %v were sent again, want %v", step.after, got, step.want)
		}
		checkSender(t, s)
	}
	if s.flight.away != 6 { // 1, 4, 6, 7 have arrived
		t.Errorf("%d are on their way, want 6", s.flight.away)
	}
	if f := s.Figures(); f.Sent != 16 || f.Resent != 6 {
		t.Errorf("figures %+v", f)
	}
}

// patienceAfter is the patience after one sample.
func patienceAfter(sample time.Duration) time.Duration {
	r := roundTrip{}
	r.sample(sample)
	return r.patience()
}

// An older ack that comes late must not undo what a newer one has told.
func TestOvertakenAck(t *testing.T) {
	s := sending(t, 10)
	older := wire.Ack{Epoch: 1, Next: 2, Missing: []wire.Range{{From: 2, To: 4}}}
	newer := wire.Ack{Epoch: 1, Next: 2, Missing: []wire.Range{{From: 2, To: 2}, {From: 6, To: openEnd}}}
	s.Ack(at(ms), newer)
	s.Ack(at(ms), older)
	if got := drain(s, at(ms)); !slices.Equal(got, []uint64{2}) {
		t.Errorf("%v were sent again, want 2 alone", got)
	}
	s.Ack(at(2*ms), wire.Ack{Epoch: 1, Next: 7})
	deadline := s.Deadline()
	if s.Ack(at(3*ms), newer); !s.Deadline().Equal(deadline) {
		t.Errorf("an ack of what is long known put the timeout off from %v to %v", deadline, s.Deadline())
	}
	if got := drain(s, at(2*ms)); got != nil {
		t.Errorf("%v were sent again though they are acknowledged", got)
	}
	checkSender(t, s)
}

// First two tips, then tips with a batch, ever less often.
func TestTimeoutsBackOff(t *testing.T) {
	s := sending(t, minWindow)
	want := []time.Duration{20, 40, 60, 100, 180, 340, 660, 1300, 2300, 3300}
	for i, w := range want {
		d := s.Deadline()
		if d.Sub(at(0)) != w*ms {
			t.Fatalf("timeout %d is at %v, want %v", i, d.Sub(at(0)), w*ms)
		}
		s.Tick(d.Add(-1))
		if _, due := s.Tip(); due {
			t.Fatalf("a tip is due before timeout %d", i)
		}
		s.Tick(d)
		tip, due := s.Tip()
		if !due || tip != (wire.Tip{Epoch: 1, Last: minWindow}) {
			t.Fatalf("timeout %d: due %v, tip %+v", i, due, tip)
		}
		if _, due := s.Tip(); due {
			t.Fatal("a tip is due twice")
		}
		if got := drain(s, d); i == 0 && got != nil || i > 0 && !slices.Equal(got, []uint64{1}) {
			t.Fatalf("timeout %d: %v sent", i, got)
		}
		checkSender(t, s)
	}
	// It answers: the next timeout is short again.
	s.Ack(at(4*time.Second), wire.Ack{Epoch: 1, Next: 2})
	if d := s.Deadline().Sub(at(4 * time.Second)); d > 200*ms {
		t.Errorf("the timeout is %v after an ack", d)
	}
}

// The window was halved, so more is on its way than may be: when the peer falls silent,
// a batch leaves nevertheless.
func TestTimeoutSendsBeyondTheWindow(t *testing.T) {
	s := sending(t, minWindow)
	s.Ack(at(ms), wire.Ack{Epoch: 1, Next: minWindow + 1}) // the window doubles
	for s.Push(Batch{}) && s.Room() > 0 {
	}
	drain(s, at(ms))
	s.Ack(at(4*ms), wire.Ack{Epoch: 1, Next: minWindow + 1, Missing: []wire.Range{{From: minWindow + 1, To: minWindow + 1}}})
	if got := drain(s, at(4*ms)); got != nil || s.flight.open() >= 0 {
		t.Fatalf("%v were sent, and the window is open for %d", got, s.flight.open())
	}
	s.Tick(s.Deadline())
	now := s.Deadline()
	s.Tick(now)
	if got := drain(s, now); !slices.Equal(got, []uint64{minWindow + 1}) {
		t.Errorf("%v were sent, want %d", got, minWindow+1)
	}

	// What is still to be sent again belongs to the epoch.
	s.miss(minWindow + 2)
	checkSender(t, s)
	s.NewEpoch()
	checkSender(t, s)
	s.Push(Batch{})
	if got := drain(s, now); !slices.Equal(got, []uint64{1}) {
		t.Errorf("%v were sent of the new epoch", got)
	}
}

func TestRoundTrip(t *testing.T) {
	var r roundTrip
	if r.timeout(0) != initialTimeout || r.timeout(1000) != maxTimeout {
		t.Errorf("without a sample the timeouts are %v and %v", r.timeout(0), r.timeout(1000))
	}
	r.sample(0)
	if r.timeout(0) != minTimeout || r.timeout(1000) != maxTimeout {
		t.Errorf("after a sample of 0 the timeouts are %v and %v", r.timeout(0), r.timeout(1000))
	}
	r = roundTrip{}
	for range 100 {
		r.sample(100 * ms)
	}
	if d := r.timeout(0); d < 100*ms || d > 101*ms {
		t.Errorf("at a round trip of 100 ms the timeout is %v", d)
	}
	// Samples that have waited for lost acks do not run away with it.
	r = roundTrip{}
	r.sample(ms / 2)
	for range 100 {
		r.sample(time.Second)
	}
	if d := r.timeout(0); d > 50*ms {
		t.Errorf("the timeout is %v", d)
	}
	if d := r.patience(); d > 5*ms {
		t.Errorf("the patience is %v", d)
	}
}

func TestWindow(t *testing.T) {
	f := newFlight()
	round := func() { // all of the window leaves and arrives
		for f.open() > 0 {
			f.depart()
		}
		n := f.away
		for f.away > 0 {
			f.land()
		}
		f.grow(n)
	}
	var seen []int
	for range 5 {
		round()
		seen = append(seen, f.window)
	}
	f.halve(100, 150) // with 150 as the highest sent
	f.halve(150, 180) // of the same window
	seen = append(seen, f.window)
	round()
	seen = append(seen, f.window)
	f.grow(1000) // unused
	f.halve(151, 200)
	seen = append(seen, f.window)
	f.rest()
	seen = append(seen, f.window)
	if want := []int{64, 128, 256, 256, 256, 128, 129, 64, 32}; !slices.Equal(seen, want) {
		t.Errorf("the window was %v, want %v", seen, want)
	}
}
