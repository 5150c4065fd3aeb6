// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// pool returns the members 10.0.0.1, 10.0.0.2, ... with the places 0, 1, ...
func pool(n int) []member {
	var out []member
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range n {
		out = append(out, member{addr: addr.As16(), place: uint8(i)})
		addr = addr.Next()
	}
	return out
}

func shares(table []uint8) map[uint8]int {
	out := map[uint8]int{}
	for _, place := range table {
		out[place]++
	}
	return out
}

func TestFillIsBalanced(t *testing.T) {
	for n := 1; n <= MaxTargets; n++ {
		table := fill(pool(n))
		if len(table) != Size {
			t.Fatalf("%d members: %d slots", n, len(table))
		}
		count := shares(table)
		for place := range uint8(n) {
			if got := count[place]; got != Size/n && got != Size/n+1 {
				t.Errorf("%d members: place %d has %d slots, fair are %d", n, place, got, Size/n)
			}
		}
	}
}

func TestFillOfNobody(t *testing.T) {
	if count := shares(fill(nil)); count[NoTarget] != Size {
		t.Errorf("%d of %d slots are NoTarget", count[NoTarget], Size)
	}
}

// TestFillMovesLittle removes each member in turn, and counts the slots that change
// though their target has stayed.
func TestFillMovesLittle(t *testing.T) {
	for _, test := range []struct {
		members int
		limit   float64 // of the slots that could stay, the worst case over who goes
	}{
		{2, 0}, {3, 0.002}, {4, 0.005}, {8, 0.01}, {16, 0.015},
	} {
		all := pool(test.members)
		before := fill(all)
		var worst, sum float64
		for gone := range all {
			after := fill(slices.Delete(slices.Clone(all), gone, gone+1))
			moved, could := 0, 0
			for i := range before {
				if int(before[i]) == gone {
					continue
				}
				could++
				if before[i] != after[i] {
					moved++
				}
			}
			fraction := float64(moved) / float64(could)
			worst, sum = max(worst, fraction), sum+fraction
		}
		t.Logf("%d members: %.2f %% of the slots that could stay move, at worst %.2f %%",
			test.members, 100*sum/float64(test.members), 100*worst)
		if worst > test.limit {
			t.Errorf("%d members: up to %.2f %% move, want at most %.2f %%", test.members, 100*worst, 100*test.limit)
		}
	}
}

// TestFillIsPinned: hosts of different versions are to agree on every slot. Where
// this fails, an upgrade moves connections.
func TestFillIsPinned(t *testing.T) {
	for _, test := range []struct {
		addrs  []string
		head   []uint8
		digest string
	}{
		{[]string{"10.224.147.166", "10.224.147.167"}, []uint8{1, 1, 1, 0, 0, 0, 1, 1}, "8bb97fa5996dc1aa"},
		{[]string{"10.0.0.1", "10.0.0.2", "fd00::1"}, []uint8{0, 1, 0, 2, 2, 2, 0, 1}, "3231f3e8a98b790f"},
	} {
		var members []member
		for i, a := range test.addrs {
			members = append(members, member{netip.MustParseAddr(a).As16(), uint8(i)})
		}
		table := fill(members)
		sum := sha256.Sum256(table)
		if got := hex.EncodeToString(sum[:8]); got != test.digest || !slices.Equal(table[:8], test.head) {
			t.Errorf("%v: table %v... %s, want %v... %s", test.addrs, table[:8], got, test.head, test.digest)
		}
	}
}

func TestPreferencesVisitEverySlot(t *testing.T) {
	for _, m := range pool(MaxTargets) {
		offset, skip := preference(m.addr)
		seen := make([]bool, Size)
		c := turn{at: offset, step: skip}
		for range Size {
			if seen[c.at] {
				t.Fatalf("offset %d, skip %d: slot %d comes twice", offset, skip, c.at)
			}
			seen[c.at] = true
			c.advance()
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, n := range []int{2, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			members := pool(n)
			for b.Loop() {
				fill(members)
			}
		})
	}
}
