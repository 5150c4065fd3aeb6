// SPDX-License-Identifier: Apache-2.0

package steering_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hafast/internal/steering"
)

// world draws targets of different addresses and places, and services for them.
func world(t *rapid.T) []steering.Target {
	n := rapid.IntRange(0, steering.MaxTargets).Draw(t, "targets")
	numbers := rapid.SliceOfNDistinct(rapid.Uint32(), n, n, rapid.ID[uint32]).Draw(t, "addresses")
	places := rapid.Permutation([]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}).Draw(t, "places")
	list := append(many("10.0.0.9", 3), many("fd00::9", 3)...)
	local := rapid.IntRange(-1, n).Draw(t, "local")
	var out []steering.Target
	for i, number := range numbers {
		a := netip.AddrFrom4([4]byte{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)})
		out = append(out, steering.Target{
			Addr: a, Place: places[i], Local: i == local,
			State:  rapid.SampledFrom([]steering.State{steering.Up, steering.Drain, steering.Down}).Draw(t, "state"),
			Serves: rapid.SliceOf(rapid.SampledFrom(list)).Draw(t, "serves"),
			All:    rapid.Bool().Draw(t, "all"),
		})
	}
	return out
}

func policies() *rapid.Generator[steering.Policy] {
	return rapid.SampledFrom([]steering.Policy{steering.Shared, steering.Local})
}

// wants is the rule, written down once more and as plainly as can be: the places
// that are to be in a service's table.
func wants(targets []steering.Target, s steering.Service, policy steering.Policy) []uint8 {
	var places []uint8
	for _, t := range targets {
		if t.State == steering.Up && (t.All || slices.Contains(t.Serves, s)) {
			if t.Local && policy == steering.Local {
				return []uint8{t.Place}
			}
			places = append(places, t.Place)
		}
	}
	slices.Sort(places)
	return places
}

// TestPlanKeepsItsRules: every service there is, who serves it and nobody else in
// its table, every slot filled if and only if there are candidates, equal sets in
// one table.
func TestPlanKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		targets, policy := world(t), policies().Draw(t, "policy")
		var p steering.Planner
		l := p.Plan(targets, nil, policy)
		var served []steering.Service
		for _, target := range targets {
			served = append(served, target.Serves...)
		}
		for _, s := range served {
			if _, ok := slices.BinarySearchFunc(l.Services, s, func(a steering.Assigned, s steering.Service) int { return a.Compare(s) }); !ok {
				t.Fatalf("%v is not in the layout", s)
			}
		}
		ids := map[uint16]bool{}
		sets := map[string]uint16{}
		for _, s := range l.Services {
			if !slices.Contains(served, s.Service) || ids[s.ID] {
				t.Fatalf("%v: served by nobody, or number %d is taken", s.Service, s.ID)
			}
			ids[s.ID] = true
			want := wants(targets, s.Service, policy)
			if (s.Set == steering.NoSet) != (len(want) == 0) {
				t.Fatalf("%v has set %d, candidates %v", s.Service, s.Set, want)
			}
			if s.Set == steering.NoSet {
				continue
			}
			table := l.Tables[s.Set]
			if got := chosen(table); len(table) != steering.Size || !slices.Equal(got, want) {
				t.Fatalf("%v: %d slots with %v, want %v", s.Service, len(table), got, want)
			}
			if set, known := sets[string(want)]; known && set != s.Set {
				t.Fatalf("%v has set %d, another with %v has %d", s.Service, s.Set, want, set)
			}
			sets[string(want)] = s.Set
		}
		if len(sets) != len(l.Tables) {
			t.Fatalf("%d tables for %d sets", len(l.Tables), len(sets))
		}
	})
}

// TestHostsAgree: another host gives the targets in another order and other
// places, and another one is its own; slot for slot the addresses are the same.
func TestHostsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		here := world(t)
		there := rapid.Permutation(here).Draw(t, "order")
		places := rapid.Permutation([]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}).Draw(t, "other places")
		there = slices.Clone(there)
		for i := range there {
			there[i].Place, there[i].Local = places[i], i == 0
			there[i].Serves = rapid.Permutation(there[i].Serves).Draw(t, "services")
		}
		var p, q steering.Planner
		a, b := p.Plan(here, nil, steering.Shared), q.Plan(there, nil, steering.Shared)
		if len(a.Services) != len(b.Services) || len(a.Tables) != len(b.Tables) {
			t.Fatalf("%d services in %d tables, there %d in %d", len(a.Services), len(a.Tables), len(b.Services), len(b.Tables))
		}
		addrs := func(targets []steering.Target) (out [steering.MaxTargets]netip.Addr) {
			for _, t := range targets {
				out[t.Place] = t.Addr
			}
			return out
		}
		mine, theirs := addrs(here), addrs(there)
		for i := range a.Services {
			if a.Services[i] != b.Services[i] {
				t.Fatalf("%+v here, %+v there", a.Services[i], b.Services[i])
			}
		}
		for set := range a.Tables {
			for slot := range a.Tables[set] {
				if x, y := mine[a.Tables[set][slot]], theirs[b.Tables[set][slot]]; x != y {
					t.Fatalf("table %d, slot %d: %v here, %v there", set, slot, x, y)
				}
			}
		}
	})
}

// TestPlanForgetsNothing: what a Planner remembers changes no table and no number.
func TestPlanForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p steering.Planner
		ids := map[steering.Service]uint16{}
		for range rapid.IntRange(1, 6).Draw(t, "plans") {
			targets, policy := world(t), policies().Draw(t, "policy")
			var fresh steering.Planner
			a, b := p.Plan(targets, nil, policy), fresh.Plan(targets, nil, policy)
			for set := range b.Tables {
				if !slices.Equal(a.Tables[set], b.Tables[set]) {
					t.Fatalf("table %d differs from that of a new planner", set)
				}
			}
			for i, s := range a.Services {
				if id, had := ids[s.Service]; (had && id != s.ID) || s.Set != b.Services[i].Set {
					t.Fatalf("%+v had number %d; set %d by a new planner", s, id, b.Services[i].Set)
				}
				ids[s.Service] = s.ID
			}
		}
	})
}

// TestGoingMovesLittle: whichever target goes, of whatever addresses, all of its
// slots go to others, and few of the others' slots move.
func TestGoingMovesLittle(t *testing.T) {
	// Of the slots that could stay. Of 6000 sets drawn at random half moved less than
	// 0.5 %, and 99 of 100 less than 1.1 %; where two members' preferences keep pace with
	// each other by chance it was up to 3.9 %.
	const limit = 0.1
	rapid.Check(t, func(t *rapid.T) {
		targets := world(t)
		for i := range targets {
			targets[i].State, targets[i].All = steering.Up, true
		}
		if len(targets) < 2 {
			t.Skip("nobody is left")
		}
		list := many("10.0.0.9", 1)
		gone := rapid.IntRange(0, len(targets)-1).Draw(t, "gone")
		var p steering.Planner
		before := p.Plan(targets, list, steering.Shared).Tables[0]
		targets[gone].State = rapid.SampledFrom([]steering.State{steering.Drain, steering.Down}).Draw(t, "state")
		after := p.Plan(targets, list, steering.Shared).Tables[0]
		could, moved := 0, 0
		for i := range before {
			if after[i] == targets[gone].Place {
				t.Fatalf("slot %d is still with the one that went", i)
			}
			if before[i] == targets[gone].Place {
				continue
			}
			could++
			if before[i] != after[i] {
				moved++
			}
		}
		if float64(moved) > limit*float64(could) {
			t.Fatalf("%d of %d slots move", moved, could)
		}
	})
}
