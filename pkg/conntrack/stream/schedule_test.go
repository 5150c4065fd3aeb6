// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hafast/pkg/conntrack/wire"
)

// schedule is a sender and a receiver, and what is on its way between them, in whatever
// order somebody chooses.
type schedule struct {
	t      checker
	now    time.Time
	out    *Sender
	in     *Receiver
	forth  []parcel   // batches and tips
	back   []wire.Ack // to the sender
	pushed int        // in the current epoch
	epoch  uint32     // of what was got
	got    int
}

// parcel is a batch, or a tip if it has no payload.
type parcel struct {
	epoch   uint32
	number  uint64
	payload []byte
}

func newSchedule(t checker, out, in Limits) *schedule {
	s := &schedule{t: t, now: at(0), out: NewSender(out), in: NewReceiver(in)}
	s.renew()
	return s
}

func (s *schedule) renew() { s.out.NewEpoch(); s.pushed = 0 }

// restart puts a new receiver in the place; nothing that is under way reaches it.
func (s *schedule) restart() {
	s.in = NewReceiver(s.in.limits)
	s.forth, s.back = nil, nil
	s.epoch, s.got = 0, 0
	s.renew()
}

func (s *schedule) push(size int) {
	payload := binary.BigEndian.AppendUint32(nil, uint32(s.pushed))
	if s.out.Push(Batch{Payload: append(payload, make([]byte, size)...), Oldest: s.now}) {
		s.pushed++
	}
}

func (s *schedule) send() {
	if epoch, number, payload, ok := s.out.Next(s.now); ok {
		s.forth = append(s.forth, parcel{epoch, number, payload})
	}
	if tip, due := s.out.Tip(); due {
		s.forth = append(s.forth, parcel{epoch: tip.Epoch, number: tip.Last})
	}
	if a, due := s.in.Ack(s.now); due {
		checkAck(s.t, a)
		a.Missing = slices.Clone(a.Missing)
		s.back = append(s.back, a)
	}
}

func (s *schedule) arrive(p parcel) {
	var got [][]byte
	if p.payload == nil {
		s.in.Tip(s.now, wire.Tip{Epoch: p.epoch, Last: p.number})
	} else {
		got = s.in.Receive(s.now, p.epoch, p.number, p.payload)
	}
	if e := s.in.Epoch(); e != s.epoch {
		s.epoch, s.got = e, 0
	}
	for _, payload := range got {
		if n := binary.BigEndian.Uint32(payload); int(n) != s.got {
			s.t.Fatalf("got %d in the place of %d", n, s.got)
		}
		s.got++
	}
}

func (s *schedule) check() {
	checkSender(s.t, s.out)
	checkReceiver(s.t, s.in)
	if s.epoch == s.out.Epoch() && s.got > s.pushed {
		s.t.Fatalf("got %d of %d", s.got, s.pushed)
	}
}

// settle carries everything from now on, and sees that all arrives.
func (s *schedule) settle() {
	end := s.now.Add(10 * time.Minute)
	for s.now.Before(end) {
		s.send()
		for _, p := range s.forth {
			s.arrive(p)
		}
		for _, a := range s.back {
			s.out.Ack(s.now, a)
		}
		if len(s.forth)+len(s.back) == 0 {
			if s.out.Figures().UnderWay == 0 {
				break
			}
			s.now = s.now.Add(ms)
			s.out.Tick(s.now)
		}
		s.forth, s.back = s.forth[:0], s.back[:0]
	}
	s.check()
	if s.pushed > 0 && (s.epoch != s.out.Epoch() || s.got != s.pushed) || s.out.Figures().UnderWay > 0 {
		s.t.Fatalf("got %d of %d in epoch %d of %d; %+v", s.got, s.pushed, s.epoch, s.out.Epoch(), s.out.Figures())
	}
}

// Any order of events: what comes out is in order, what is counted is right, and when
// the network is kind again all arrives. The receiver may hold less than the sender.
func TestSchedules(t *testing.T) {
	limits := func(t *rapid.T, name string) Limits {
		return Limits{
			Batches: rapid.IntRange(1, 80).Draw(t, name+" batches"),
			Bytes:   rapid.IntRange(1, 2000).Draw(t, name+" bytes"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule(t, limits(t, "sender"), limits(t, "receiver"))
		pick := func(t *rapid.T, n int) int {
			if n == 0 {
				t.Skip("nothing is under way")
			}
			return rapid.IntRange(0, n-1).Draw(t, "which")
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "batches") {
					s.push(rapid.IntRange(0, 100).Draw(t, "size"))
				}
			},
			"send": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "times") {
					s.send()
				}
			},
			"time": func(t *rapid.T) {
				s.now = s.now.Add(time.Duration(rapid.IntRange(0, 30000).Draw(t, "us")) * time.Microsecond)
				s.out.Tick(s.now)
			},
			"lose":     func(t *rapid.T) { i := pick(t, len(s.forth)); s.forth = slices.Delete(s.forth, i, i+1) },
			"lose ack": func(t *rapid.T) { i := pick(t, len(s.back)); s.back = slices.Delete(s.back, i, i+1) },
			"arrive": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					i := pick(t, len(s.forth))
					s.arrive(s.forth[i])
					s.forth = slices.Delete(s.forth, i, i+1)
				}
			},
			"arrive and stay": func(t *rapid.T) { s.arrive(s.forth[pick(t, len(s.forth))]) },
			"ack": func(t *rapid.T) {
				i := pick(t, len(s.back))
				s.out.Ack(s.now, s.back[i])
				s.back = slices.Delete(s.back, i, i+1)
			},
			"ack and stay": func(t *rapid.T) { s.out.Ack(s.now, s.back[pick(t, len(s.back))]) },
			"new epoch":    func(t *rapid.T) { s.renew() },
			"restart":      func(t *rapid.T) { s.restart() },
			"":             func(t *rapid.T) { s.check() },
		})
		s.settle()
	})
}

// A sender that is told anything keeps its count, and goes on when it is told the truth.
func FuzzAck(f *testing.F) {
	f.Add([]byte{1, 2, 0, 0, 0})
	f.Add([]byte{1, 1, 1, 3, 7, 3, 1, 1, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newSchedule(t, Limits{Batches: 50}, Limits{Batches: 50})
		for range 40 {
			s.push(0)
		}
		for len(data) >= 4 {
			for range data[0] % 64 {
				s.send()
			}
			a := wire.Ack{Epoch: 1, Next: number(data[1])}
			for n := min(int(data[2])%5, (len(data)-4)/2); n > 0; n-- {
				a.Missing = append(a.Missing, wire.Range{From: number(data[4]), To: number(data[5])})
				data = data[2:]
			}
			s.now = s.now.Add(time.Duration(data[3]) * ms / 4)
			data = data[4:]
			s.out.Ack(s.now, a)
			s.out.Tick(s.now)
			checkSender(t, s.out)
		}
	})
}

// A receiver that is sent anything holds no more than it may, and hands on in order.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 1, 3, 5, 0, 1, 2, 0, 9})
	f.Add([]byte{1, 5, 9, 9, 129, 200, 0, 0, 2, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReceiver(Limits{Batches: 20, Bytes: 500})
		now := at(0)
		for ; len(data) >= 4; data = data[4:] {
			now = now.Add(time.Duration(data[3]) * ms / 16)
			epoch, n := uint32(data[0]&7), number(data[1])
			before, was := r.Next(), r.Epoch()
			if data[0]&128 != 0 {
				r.Tip(now, wire.Tip{Epoch: epoch, Last: n})
			} else {
				got := r.Receive(now, epoch, n, make([]byte, data[2]))
				if r.Epoch() == was && r.Next() != before+uint64(len(got)) {
					t.Fatalf("%d payloads, and next went from %d to %d", len(got), before, r.Next())
				}
			}
			if r.Epoch() < was {
				t.Fatalf("the epoch went from %d to %d", was, r.Epoch())
			}
			checkReceiver(t, r)
			if a, due := r.Ack(now); due {
				checkAck(t, a)
			}
		}
	})
}

// number makes small numbers and a few of the largest.
func number(b byte) uint64 {
	if b >= 250 {
		return math.MaxUint64 - uint64(255-b)
	}
	return uint64(b)
}
