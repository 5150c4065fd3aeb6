// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"hafast/pkg/conntrack/stream/simnet"
)

// Links of all kinds, links that break for a while, daemons that restart: in the end
// all of the source has arrived, once and in order.
func TestWhateverTheNetworkDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		forth, back := drawLink(t, "forth"), drawLink(t, "back")
		net := simnet.New(seed, 2, forth)
		*net.Link(1, 0) = back
		s := source{
			batches: rapid.IntRange(1, 1500).Draw(t, "batches"),
			size:    rapid.IntRange(0, 1400).Draw(t, "size"),
			every:   time.Duration(rapid.IntRange(0, 3).Draw(t, "every in 100 us")) * ms / 10,
			greedy:  rapid.Bool().Draw(t, "greedy"),
		}
		from, to := start(t, net, 0, 1, 1, s), start(t, net, 1, 0, 1, source{})
		for boot := range uint64(rapid.IntRange(0, 4).Draw(t, "troubles")) {
			net.Run(time.Duration(rapid.IntRange(0, 100).Draw(t, "ms until then")) * ms)
			pause := time.Duration(rapid.IntRange(0, 300).Draw(t, "ms it lasts")) * ms
			switch rapid.SampledFrom([]string{"sender", "receiver", "forth", "back", "epoch"}).Draw(t, "trouble") {
			case "sender":
				net.Attach(0, nil)
				net.Run(pause)
				from = start(t, net, 0, 1, boot+2, s)
			case "receiver":
				net.Attach(1, nil)
				net.Run(pause)
				to = start(t, net, 1, 0, boot+2, source{})
			case "forth":
				net.Link(0, 1).Down = true
				net.Run(pause)
				net.Link(0, 1).Down = false
			case "back":
				net.Link(1, 0).Down = true
				net.Run(pause)
				net.Link(1, 0).Down = false
			case "epoch":
				from.renew(net.Now())
			}
			checkSender(t, from.out)
			checkReceiver(t, to.in)
		}
		if !net.RunUntil(time.Minute, func() bool { return from.told(to) }) {
			t.Fatalf("after a minute %d of %d batches have arrived; sender %+v, receiver %+v",
				to.got, s.batches, from.out.Figures(), to.in.Figures())
		}
		checkSender(t, from.out)
		checkReceiver(t, to.in)
	})
}

func drawLink(t *rapid.T, name string) simnet.Link {
	percent := func(most int, what string) float64 {
		return float64(rapid.IntRange(0, most).Draw(t, name+" "+what)) / 100
	}
	return simnet.Link{
		Delay:     time.Duration(rapid.IntRange(0, 20).Draw(t, name+" delay in 100 us")) * ms / 10,
		Jitter:    time.Duration(rapid.IntRange(0, 20).Draw(t, name+" jitter in 100 us")) * ms / 10,
		Loss:      percent(50, "loss"),
		Duplicate: percent(50, "duplicates"),
		Reorder:   percent(20, "reordered"),
		Late:      time.Duration(rapid.IntRange(0, 30).Draw(t, name+" late in ms")) * ms,
	}
}
