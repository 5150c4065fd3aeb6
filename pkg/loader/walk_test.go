// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"io"
	"maps"
	"net/netip"
	"testing"
)

// TestWalkInPieces: what stays is read exactly once while others come and go, whatever
// the pieces.
func TestWalkInPieces(t *testing.T) {
	lab(t)
	d := openWith(t, Options{Flows: 1 << 15})
	var stay []Flow
	for port := range uint16(3000) {
		for _, f := range everyKind()[:3] {
			f.Client = netip.AddrPortFrom(f.Client.Addr(), port)
			stay = append(stay, f)
		}
	}
	put(t, d, stay...)
	for _, piece := range []int{MinWalk, 100, 1000, 1 << 15} {
		walk, into := d.Walk(), make([]Flow, piece)
		got := make(map[Flow]bool)
		for turn := uint16(0); ; turn++ {
			n, err := walk.Next(into)
			for _, f := range into[:n] {
				if f.Client.Port() >= 3000 {
					continue
				}
				if f.Idle = 0; got[f] {
					t.Fatalf("pieces of %d: %v is read twice", piece, f)
				}
				got[f] = true
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			// Some that come and go, and some that are written anew.
			put(t, d, flow4(3000+turn%1000), stay[int(turn)%len(stay)])
			_, err = d.DeleteFlows(func(f Flow) bool { return f.Client.Port() >= 3000 && f.Client.Port()%2 == 0 })
			if err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(got, setOf(stay)) {
			t.Errorf("pieces of %d: %d of %d read", piece, len(got), len(stay))
		}
		if n, err := walk.Next(into); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	}
}

func TestWalkNeedsRoom(t *testing.T) {
	lab(t)
	d := open(t, "")
	if _, err := d.Walk().Next(make([]Flow, MinWalk-1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
