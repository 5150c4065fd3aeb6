// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestTrust(t *testing.T) {
	for _, tt := range []struct {
		name     string
		evidence Evidence
		want     bool
	}{
		{"nothing came in, nobody to ask", Evidence{}, true},
		{"nothing came in, the witness is silent", Evidence{Witness: Silent}, false},
		{"the witness answered", Evidence{Witness: Answered}, true},
		{"others were heard, nobody to ask", Evidence{Frames: 1}, true},
		{"others were heard, the witness is silent", Evidence{Witness: Silent, Frames: 1}, true},
		{"another peer still answers", Evidence{Alive: 1, Witness: Silent}, true},
	} {
		if got := Trust(tt.evidence); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestDoubt(t *testing.T) {
	type tick struct {
		r           roll
		replies     uint64
		on          bool
		begun, over bool
		verdict     Verdict // looked at while on, or just over
	}
	calm := tick{r: roll{live: 2, quiet: 1}}
	for _, tt := range []struct {
		name  string
		ticks []tick
	}{
		{"nobody is there yet", []tick{{}, {}}},
		{"one of two still answers", []tick{calm, calm}},
		{"a single loss of the only peer", []tick{
			{r: roll{live: 1}, replies: 7},
			{r: roll{live: 1, quiet: 1}, replies: 7, on: true, begun: true, verdict: Silent},
			{r: roll{live: 1}, replies: 8},
			// What the witness answered then proves nothing now.
			{r: roll{live: 1, quiet: 1}, replies: 8, on: true, begun: true, verdict: Silent},
		}},
		{"the witness answers before the end", []tick{
			{r: roll{live: 1, quiet: 1}, replies: 7, on: true, begun: true, verdict: Silent},
			{r: roll{live: 1, quiet: 1}, replies: 8, on: true, verdict: Answered},
			{r: roll{fell: 1}, replies: 8, over: true, verdict: Answered},
			{replies: 8},
		}},
		{"the witness answers late", []tick{
			{r: roll{live: 2, quiet: 2}, on: true, begun: true, verdict: Silent},
			{r: roll{live: 1, quiet: 1, fell: 1}, on: true, verdict: Silent},
			{r: roll{fell: 1}, on: true, verdict: Silent},
			{on: true, verdict: Silent},
			{replies: 1, over: true, verdict: Answered},
			{replies: 2},
		}},
		{"a multiplier of one: down at the first miss", []tick{
			{r: roll{fell: 1}, replies: 7, on: true, begun: true, verdict: Silent},
			{replies: 8, over: true, verdict: Answered},
		}},
		{"a peer comes back", []tick{
			{r: roll{live: 1, quiet: 1}, on: true, begun: true, verdict: Silent},
			{r: roll{fell: 1}, on: true, verdict: Silent},
			{r: roll{live: 1}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d doubt
			for i, k := range tt.ticks {
				begun, over := d.step(k.r, k.replies)
				if begun != k.begun || over != k.over || d.on != k.on {
					t.Errorf("tick %d: begun %v, over %v, on %v, want %+v", i, begun, over, d.on, k)
				}
				if d.on || over {
					if got := d.verdict(k.replies); got != k.verdict {
						t.Errorf("tick %d: %s, want %s", i, got, k.verdict)
					}
				}
			}
		})
	}
	t.Run("asking ends", func(t *testing.T) {
		var d doubt
		d.step(roll{fell: 1}, 0)
		for range afterthought - 1 {
			if _, over := d.step(roll{}, 0); over || !d.on {
				t.Fatal("over too early")
			}
		}
		if _, over := d.step(roll{}, 0); !over || d.on {
			t.Error("never over")
		}
	})
}

func TestWitnessThatCannotBeAsked(t *testing.T) {
	good := Witness{
		Address: netip.MustParseAddr("10.9.0.9"), Source: here4, Interface: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
	}
	if _, err := newQuestion(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(w *Witness){
		"IPv6":         func(w *Witness) { w.Address = there6 },
		"no source":    func(w *Witness) { w.Source = netip.Addr{} },
		"no interface": func(w *Witness) { w.Interface = 0 },
		"no MAC":       func(w *Witness) { w.MAC = nil },
	} {
		w := good
		spoil(&w)
		if _, err := newQuestion(w); !errors.Is(err, ErrWitness) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
