// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"fmt"
	"testing"
	"time"

	"hafast/pkg/conntrack/stream/simnet"
)

const ms = time.Millisecond

// lan is a link between two hosts in a rack: a round trip of 0.5 ms.
func lan() simnet.Link { return simnet.Link{Delay: ms / 4} }

func with(l simnet.Link, change func(*simnet.Link)) simnet.Link {
	change(&l)
	return l
}

// Whatever a link does, and with whichever seed: all arrives, once and in order, and the
// sender gets to know it.
func TestAllArrives(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  simnet.Link
		limit time.Duration // about twice of what was seen
	}{
		{"perfect", lan(), 100 * ms},
		{"no delay", simnet.Link{}, 100 * ms},
		{"loss 1 %", with(lan(), func(l *simnet.Link) { l.Loss = .01 }), 500 * ms},
		{"loss 10 %", with(lan(), func(l *simnet.Link) { l.Loss = .1 }), time.Second},
		{"loss 50 %", with(lan(), func(l *simnet.Link) { l.Loss = .5 }), 12 * time.Second},
		{"reorder", with(lan(), func(l *simnet.Link) { l.Reorder, l.Late = .1, ms }), 100 * ms},
		{"late by 20 ms", with(lan(), func(l *simnet.Link) { l.Reorder, l.Late = .1, 20*ms }), time.Second},
		{"jitter", with(lan(), func(l *simnet.Link) { l.Jitter = 5 * ms }), 2 * time.Second},
		{"duplicates", with(lan(), func(l *simnet.Link) { l.Duplicate = .5 }), 100 * ms},
		{"small queue", with(lan(), func(l *simnet.Link) { l.Rate, l.Queue = 20000, 40 }), 500 * ms},
		{"tiny queue", with(lan(), func(l *simnet.Link) { l.Rate, l.Queue = 20000, 4 }), 4 * time.Second},
		{"far", simnet.Link{Delay: 50 * ms}, 4 * time.Second},
		{"all at once", simnet.Link{
			Delay: ms, Jitter: ms, Loss: .1, Duplicate: .1, Reorder: .1, Late: 10 * ms, Rate: 20000, Queue: 40,
		}, 3 * time.Second},
	} {
		for _, greedy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/greedy=%v", c.name, greedy), func(t *testing.T) {
				var worst time.Duration
				for seed := range uint64(8) {
					net := simnet.New(seed, 2, c.link)
					from, to := pair(t, net, source{batches: 5000, greedy: greedy})
					worst = max(worst, deliver(t, net, c.limit, from, to))
				}
				t.Logf("5000 batches within %v", worst)
			})
		}
	}
}

func TestBothDirections(t *testing.T) {
	net := simnet.New(1, 2, with(lan(), func(l *simnet.Link) { l.Loss = .1 }))
	a := start(t, net, 0, 1, 1, source{batches: 2000})
	b := start(t, net, 1, 0, 1, source{batches: 1000})
	if !net.RunUntil(5*time.Second, func() bool { return a.told(b) && b.told(a) }) {
		t.Fatalf("%d of 2000 and %d of 1000 have arrived", b.got, a.got)
	}
}

// Whoever restarts in the middle of a bulk: the stream begins anew and arrives whole.
func TestRestart(t *testing.T) {
	s := source{batches: 3000, size: 100}
	for _, c := range []struct {
		name             string
		sender, receiver bool
		down             time.Duration
	}{
		{"sender", true, false, 0},
		{"receiver", false, true, 0},
		{"both", true, true, 0},
		{"sender, after a while", true, false, 2 * time.Second},
		{"receiver, after a while", false, true, 2 * time.Second},
		{"both, after a while", true, true, 2 * time.Second},
	} {
		for _, loss := range []float64{0, .1} {
			t.Run(fmt.Sprintf("%s/loss=%v", c.name, loss), func(t *testing.T) {
				for seed := range uint64(8) {
					net := simnet.New(seed, 2, with(lan(), func(l *simnet.Link) { l.Loss = loss }))
					from, to := pair(t, net, s)
					net.RunUntil(time.Second, func() bool { return to.got >= 500 })
					if c.sender {
						net.Attach(0, nil)
					}
					if c.receiver {
						net.Attach(1, nil)
					}
					net.Run(c.down)
					if c.sender {
						from = start(t, net, 0, 1, 2, s)
					}
					if c.receiver {
						to = start(t, net, 1, 0, 2, source{})
					}
					deliver(t, net, 10*time.Second, from, to)
				}
			})
		}
	}
}

func TestNewEpochInTheMiddle(t *testing.T) {
	for seed := range uint64(8) {
		net := simnet.New(seed, 2, with(lan(), func(l *simnet.Link) { l.Loss, l.Reorder, l.Late = .1, .1, 5*ms }))
		from, to := pair(t, net, source{batches: 2000})
		for range 5 {
			net.RunUntil(time.Second, func() bool { return to.got >= 700 })
			from.renew(net.Now())
			from.flush(net.Now())
		}
		deliver(t, net, 5*time.Second, from, to)
		if f := from.out.Figures(); f.Superseded == 0 {
			t.Errorf("seed %d: five epochs were cut short, but no batch counts as superseded: %+v", seed, f)
		}
		if f := to.in.Figures(); f.Old == 0 {
			t.Errorf("seed %d: nothing of a former epoch came: %+v", seed, f)
		}
	}
}

// The last batch is lost: nothing after it shows a gap.
func TestTailLossIsMendedWithinATimeout(t *testing.T) {
	net := simnet.New(1, 2, lan())
	from, to := pair(t, net, source{batches: 1000})
	deliver(t, net, time.Second, from, to)
	net.Run(100 * ms)
	timeout := from.out.rtt.timeout(0)

	net.Link(0, 1).Down = true
	from.source.batches++
	from.flush(net.Now())
	net.Link(0, 1).Down = false
	took := deliver(t, net, time.Second, from, to)
	t.Logf("mended after %v; the timeout is %v", took, timeout)
	if limit := timeout + 2*ms; took > limit { // and two round trips
		t.Errorf("it took %v, want at most %v", took, limit)
	}
}

// The ack of the last batch is lost: the tip brings it.
func TestLostAckIsMendedWithinATimeout(t *testing.T) {
	net := simnet.New(1, 2, lan())
	from, to := pair(t, net, source{batches: 1000})
	deliver(t, net, time.Second, from, to)
	net.Run(100 * ms)

	net.Link(1, 0).Down = true
	from.source.batches++
	from.flush(net.Now())
	net.Run(ms)
	net.Link(1, 0).Down = false
	took := deliver(t, net, time.Second, from, to)
	if limit := from.out.rtt.timeout(0) + 2*ms; took > limit {
		t.Errorf("it took %v, want at most %v", took, limit)
	}
	if f := from.out.Figures(); f.Resent != 0 {
		t.Errorf("%d batches were sent again, though none was lost", f.Resent)
	}
}

// A peer that is dead, or that only hears, or that only speaks, costs little.
func TestSilentPeerIsBounded(t *testing.T) {
	for _, c := range []struct {
		name            string
		there, backDown bool
	}{
		{"dead", false, false},
		{"cannot be reached", true, false},
		{"cannot answer", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			net := simnet.New(1, 2, lan())
			from, to := pair(t, net, source{batches: 1 << 30, size: 1400, greedy: true})
			net.Run(10 * ms)
			if !c.there {
				net.Attach(1, nil)
			}
			net.Link(0, 1).Down = !c.backDown
			net.Link(1, 0).Down = c.backDown
			net.Run(5 * time.Second)

			before := net.LinkCounts(0, 1).Sent
			net.Run(10 * time.Second)
			sent := net.LinkCounts(0, 1).Sent - before
			// In ten seconds: ten tips, ten batches, 200 hellos of the rig, and no
			// acks, for the peer says nothing.
			if sent > 225 {
				t.Errorf("%d datagrams in ten seconds", sent)
			}
			f := from.out.Figures()
			if f.UnderWay > 1024 || f.Bytes > 4<<20 || f.UnderWay == 0 {
				t.Errorf("%d batches of %d bytes are held", f.UnderWay, f.Bytes)
			}

			if !c.there {
				return
			}
			// The link is mended: it goes on within the longest timeout.
			got := to.got
			net.Link(0, 1).Down, net.Link(1, 0).Down = false, false
			net.RunUntil(maxTimeout+10*ms, func() bool { return to.got > got })
			if to.got <= got {
				t.Errorf("%d batches had arrived, and %d a second after the link was mended", got, to.got)
			}
		})
	}
}

// A batch that never gets through, however often it is sent, costs little as well.
func TestBatchThatNeverArrives(t *testing.T) {
	s, r := NewSender(Limits{}), NewReceiver(Limits{})
	s.NewEpoch()
	s.Push(Batch{Payload: []byte{1}})
	now := simnet.Epoch
	datagrams := 0
	for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(ms / 2) {
		s.Tick(now)
		for {
			if _, _, _, ok := s.Next(now); !ok {
				break
			}
			datagrams++
		}
		if tip, due := s.Tip(); due {
			datagrams++
			r.Tip(now, tip)
		}
		if a, due := r.Ack(now); due {
			datagrams++
			s.Ack(now, a)
		}
	}
	t.Logf("%d datagrams in ten seconds", datagrams)
	if datagrams > 3000 {
		t.Errorf("%d datagrams in ten seconds", datagrams)
	}
}

func TestIdleStreamIsSilent(t *testing.T) {
	net := simnet.New(1, 2, lan())
	from, to := pair(t, net, source{batches: 100})
	deliver(t, net, time.Second, from, to)
	net.Run(20 * ms)
	if s, r := from.out.Deadline(), to.in.Deadline(); !s.IsZero() || !r.IsZero() {
		t.Errorf("nothing is under way, but the sender waits for %v and the receiver for %v", s, r)
	}
}
