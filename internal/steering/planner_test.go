// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"net/netip"
	"slices"
	"testing"
)

func TestTablesAreRemembered(t *testing.T) {
	var p Planner
	s := []Service{{VIP: netip.MustParseAddr("10.0.0.9"), Port: 80, Proto: TCP}}
	targets := []Target{
		{Addr: netip.MustParseAddr("10.0.0.1"), Place: 0, State: Up, Serves: s},
		{Addr: netip.MustParseAddr("10.0.0.2"), Place: 1, State: Up, Serves: s},
	}
	both := p.Plan(targets, nil, Shared).Tables[0]
	targets[1].State = Down
	alone := p.Plan(targets, nil, Shared).Tables[0]
	targets[1].State = Up
	again := p.Plan(targets, nil, Shared).Tables[0]
	if &both[0] != &again[0] || &both[0] == &alone[0] {
		t.Error("the table of a set that was there before is made anew")
	}
	targets[1].Place = 5
	if moved := p.Plan(targets, nil, Shared).Tables[0]; &moved[0] == &both[0] {
		t.Error("the same table for another place")
	}
}

func TestTableCacheIsBounded(t *testing.T) {
	var c tableCache
	one := func(i int) []member {
		return []member{{addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).As16()}}
	}
	c.begin()
	kept := c.get(one(0))
	for i := 1; i < 2*tableLimit; i++ {
		c.begin()
		c.get(one(i))
		c.get(one(0))
	}
	if len(c.tables) != tableLimit {
		t.Errorf("%d tables are kept, want %d", len(c.tables), tableLimit)
	}
	if again := c.get(one(0)); &again[0] != &kept[0] {
		t.Error("a table in use was dropped")
	}
}

func TestNumbersStay(t *testing.T) {
	var n numbers
	vip := netip.MustParseAddr("10.0.0.9")
	port := func(p uint16) Service { return Service{VIP: vip, Port: p, Proto: TCP} }
	first := n.assign([]Service{port(1), port(2), port(3)})
	if first[0] == first[1] || first[1] == first[2] || first[0] == first[2] {
		t.Fatalf("numbers %v", first)
	}
	// A service that goes away and comes back, beside one that is new.
	n.assign([]Service{port(1), port(3)})
	second := n.assign([]Service{port(1), port(2), port(3), port(4)})
	if second[0] != first[0] || second[1] != first[1] || second[2] != first[2] {
		t.Errorf("numbers %v, before %v", second, first)
	}
	if slices.Contains(first, second[3]) {
		t.Errorf("the new one has number %d, which is in use: %v", second[3], first)
	}
}

// TestNumbersAreReused goes through all of them, while one service stays.
func TestNumbersAreReused(t *testing.T) {
	var n numbers
	vip := netip.MustParseAddr("10.0.0.9")
	staying := Service{VIP: vip, Proto: UDP}
	own := n.assign([]Service{staying})[0]
	early := Service{VIP: vip, Port: 1, Proto: TCP}
	given := n.assign([]Service{staying, early})[1]
	// As many others as leave the numbers just short of their end.
	for i := range 1<<16 - 2 {
		other := Service{VIP: vip.Next(), Port: uint16(i), Proto: TCP}
		if ids := n.assign([]Service{staying, other}); ids[0] != own || ids[1] == own || ids[1] == given {
			t.Fatalf("numbers %v after %d services; %d and %d are taken", ids, i, own, given)
		}
	}
	late := Service{VIP: vip.Next().Next(), Proto: TCP}
	if ids := n.assign([]Service{staying, late}); ids[0] != own || ids[1] != given {
		t.Errorf("numbers %v, want %d kept and %d given again", ids, own, given)
	}
	if ids := n.assign([]Service{early}); ids[0] == given || ids[0] == own {
		t.Errorf("the former owner of %d is back with %v", given, ids)
	}
	if len(n.entries) != 1<<16 || len(n.owners) != 1<<16 {
		t.Errorf("%d services remembered by %d numbers", len(n.entries), len(n.owners))
	}
}
