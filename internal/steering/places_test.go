// SPDX-License-Identifier: Apache-2.0

package steering_test

import (
	"errors"
	"maps"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"hafast/internal/steering"
)

func numbered(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

func TestPlaces(t *testing.T) {
	var p steering.Places
	// As an earlier run has left them: with a gap.
	for place, a := range map[uint8]netip.Addr{0: numbered(1), 3: numbered(2)} {
		if err := p.Restore(place, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Assign(numbered(3), numbered(2), numbered(1), numbered(4), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	want := map[uint8]netip.Addr{0: numbered(1), 1: numbered(3), 2: numbered(4), 3: numbered(2)}
	if got := maps.Collect(p.All()); !maps.Equal(got, want) {
		t.Fatalf("places %v, want %v", got, want)
	}
	// A target that is no longer named keeps its place until it is freed.
	if err := p.Assign(numbered(5)); err != nil {
		t.Fatal(err)
	}
	if place, ok := p.Of(numbered(3)); !ok || place != 1 {
		t.Errorf("place %d %v", place, ok)
	}
	if !p.Free(numbered(3)) || p.Free(numbered(3)) || p.Free(netip.Addr{}) {
		t.Error("freed the wrong thing")
	}
	if _, ok := p.Of(numbered(3)); ok {
		t.Error("has a place though it was freed")
	}
	if err := p.Assign(numbered(6)); err != nil {
		t.Fatal(err)
	}
	if place, ok := p.Of(numbered(6)); !ok || place != 1 {
		t.Errorf("the free place is 1, got %d %v", place, ok)
	}
}

func TestPlacesRunOut(t *testing.T) {
	var p steering.Places
	for i := range steering.MaxTargets - 1 {
		if err := p.Assign(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	before := p
	if err := p.Assign(numbered(100), numbered(101)); !errors.Is(err, steering.ErrNoPlace) {
		t.Errorf("the 17th: %v", err)
	}
	if p != before {
		t.Error("a failed Assign changed something")
	}
	p.Free(numbered(0))
	if err := p.Assign(numbered(100), numbered(101)); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	var p steering.Places
	if err := p.Restore(2, numbered(1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Restore(2, numbered(1)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	for _, test := range []struct {
		place uint8
		addr  netip.Addr
		taken bool
	}{
		{2, numbered(2), true},
		{3, numbered(1), true},
		{steering.MaxTargets, numbered(3), false},
		{4, netip.Addr{}, false},
	} {
		if err := p.Restore(test.place, test.addr); err == nil || errors.Is(err, steering.ErrPlaceTaken) != test.taken {
			t.Errorf("place %d of %v: %v", test.place, test.addr, err)
		}
	}
}

// TestPlacesStay: whatever is assigned and freed, a place is somebody else's only
// after it was freed.
func TestPlacesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p steering.Places
		model := map[netip.Addr]uint8{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			a := numbered(rapid.IntRange(0, 24).Draw(t, "address"))
			if rapid.Bool().Draw(t, "free") {
				_, had := model[a]
				if p.Free(a) != had {
					t.Fatalf("free of %v, which had a place: %v", a, had)
				}
				delete(model, a)
				continue
			}
			_, had := model[a]
			err := p.Assign(a)
			if full := len(model) == steering.MaxTargets && !had; full != errors.Is(err, steering.ErrNoPlace) {
				t.Fatalf("%v with %d places taken: %v", a, len(model), err)
			}
			if place, ok := p.Of(a); ok && !had {
				for other, taken := range model {
					if taken == place {
						t.Fatalf("%v was given the place of %v", a, other)
					}
				}
				model[a] = place
			}
			for other, place := range model {
				if now, ok := p.Of(other); !ok || now != place {
					t.Fatalf("%v had place %d, has %d", other, place, now)
				}
			}
		}
	})
}
