// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"
	"time"

	"hafast/pkg/conntrack/stream/simnet"
)

// flows is a table of a million, 16 bytes each, in batches that fill an MTU.
func flows() source {
	const each = 1400 / 16
	return source{batches: (1_000_000 + each - 1) / each, size: 1400}
}

// A million flows within 5 seconds at a round trip of 0.5 ms.
func TestBulk(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  simnet.Link
		limit time.Duration
	}{
		{"loss 0", lan(), 5 * time.Second},
		{"loss 1 %", with(lan(), func(l *simnet.Link) { l.Loss = .01 }), 5 * time.Second},
		{"loss 10 %", with(lan(), func(l *simnet.Link) { l.Loss = .1 }), 5 * time.Second},
		{"loss 50 %", with(lan(), func(l *simnet.Link) { l.Loss = .5 }), 60 * time.Second},
		{"round trip 0.1 ms", simnet.Link{Delay: ms / 20}, 5 * time.Second},
		{"round trip 1 ms, loss 10 %", simnet.Link{Delay: ms / 2, Loss: .1}, 5 * time.Second},
		// A receiver that takes 100,000 datagrams a second from a default buffer.
		{"socket buffer of 90", with(lan(), func(l *simnet.Link) { l.Rate, l.Queue = 100_000, 90 }), 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			net := simnet.New(1, 2, c.link)
			from, to := pair(t, net, flows())
			took := deliver(t, net, c.limit, from, to)
			f, forth, back := from.out.Figures(), net.LinkCounts(0, 1), net.LinkCounts(1, 0)
			t.Logf("%d batches in %v: %d sent again, %d timeouts, window %d at the end; %d datagrams, %d lost, %d overran; %d back",
				from.source.batches, took.Round(ms), f.Resent, f.Timeouts, f.Window, forth.Sent, forth.Lost, forth.Overrun, back.Sent)
		})
	}
}

// Live news without loss: a batch each 2 ms.
func TestLag(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		loss  float64
		limit time.Duration // of the 99th percentile
	}{
		{"2 ms", 2 * ms, 0, 12 * ms},
		{"100 us", ms / 10, 0, 3 * ms},
		{"50 ms", 50 * ms, 0, ms},
		{"2 ms, loss 1 %", 2 * ms, .01, 25 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			net := simnet.New(1, 2, with(lan(), func(l *simnet.Link) { l.Loss = c.loss }))
			from, to := pair(t, net, source{batches: 5000, size: 1400, every: c.every})
			deliver(t, net, 300*time.Second, from, to)
			p99 := percentile(from.lags, .99)
			t.Logf("lag median %v, p99 %v, max %v; %d timeouts", percentile(from.lags, .5), p99, percentile(from.lags, 1), from.out.Figures().Timeouts)
			if len(from.lags) < 5000 {
				t.Errorf("%d lags of 5000 batches", len(from.lags))
			}
			if p99 > c.limit {
				t.Errorf("p99 is %v, want at most %v", p99, c.limit)
			}
			if f := from.out.Figures(); c.loss == 0 && (f.Resent > 0 || f.Timeouts > 0) {
				t.Errorf("without loss %d batches were sent again, and acks stood still %d times", f.Resent, f.Timeouts)
			}
		})
	}
}
