// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"io"
	"maps"
	"net/netip"
	"testing"
	"time"
)

// sweep deletes all that a Sweep finds.
func sweep(t testing.TB, d *DataPath, before uint32, scope ...string) (deleted int) {
	t.Helper()
	in := make(map[netip.Addr]bool)
	for _, a := range scope {
		in[netip.MustParseAddr(a)] = true
	}
	s := d.SweepReplicas(before)
	for {
		n, err := s.Next(func(vip netip.Addr) bool { return in[vip] }, MinWalk)
		deleted += n
		if errors.Is(err, io.EOF) {
			return deleted
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSweepReplicas deletes what was told before, is no flow of this host's own, and is
// in scope; of all tables.
func TestSweepReplicas(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		steerTo(t, d, 1)
		const four, six = "192.0.2.1", "2001:db8::1"
		kinds := everyKind()
		next := func(f Flow) Flow { f.Client = netip.AddrPortFrom(f.Client.Addr(), f.Client.Port()-1); return f }
		elsewhere := altered(kinds[0], func(f *Flow) { f.VIP = netip.MustParseAddrPort("192.0.2.2:80") })
		touched := Flow{
			Proto: UDP, Client: netip.MustParseAddrPort("198.51.100.7:5"), VIP: netip.MustParseAddrPort(four + ":53"), Place: 1,
		}
		own := next(kinds[0])

		put(t, d, own)
		for _, f := range append(kinds, elsewhere, touched) {
			apply(t, d, Replica{Flow: f})
		}
		send(t, d, touched.Client.String())
		before := d.NextGeneration()
		again := []Flow{kinds[2], next(kinds[1])}
		for _, f := range again {
			apply(t, d, Replica{Flow: f})
		}
		if n := sweep(t, d, before); n != 0 {
			t.Errorf("%d deleted without a scope", n)
		}
		if n := sweep(t, d, before, four, six); n != 4 {
			t.Errorf("%d deleted, want 4", n)
		}
		want := make(map[Flow]bool)
		for _, f := range append(again, elsewhere, own, touched) {
			want[altered(f, func(f *Flow) { f.Service = 0 })] = true
		}
		got := make(map[Flow]bool)
		for f := range flowsOf(t, d) {
			got[altered(f, func(f *Flow) { f.Service, f.Replica, f.Generation = 0, false, 0 })] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("left are\n%v, want\n%v", got, want)
		}
	})
}

// TestGenerations: an entry remembers a few bits of its generation. Sweeps that belong
// to walks which overlap each other, and numbers that wrap around, must not delete what
// was told in time; and what was not told goes, until the numbers come round again.
func TestGenerations(t *testing.T) {
	lab(t)
	d := open(t, "")
	flow := flow4(1)
	const vip = "192.0.2.1"
	for start := range uint32(70) {
		d.replicas.generation.Store(1<<32 - 35 + start) // across both wraps
		apply(t, d, Replica{Flow: flow})
		for later := range uint32(maxGenerations) {
			begun := d.NextGeneration()
			if later%9 != 0 {
				continue
			}
			// A walk that has begun no later than the flow was told, whenever it ends.
			if n := sweep(t, d, begun-1-later, vip); n != 0 {
				t.Fatalf("from %d: deleted after %d generations", start, later+1)
			}
		}
		apply(t, d, Replica{Flow: flow})
		if begun := d.NextGeneration(); sweep(t, d, begun, vip) != 1 {
			t.Fatalf("from %d: not deleted in generation %d", start, begun)
		}
	}
	apply(t, d, Replica{Flow: flow})
	long := d.NextGeneration()
	for range maxGenerations + 1 {
		d.NextGeneration()
	}
	if n := sweep(t, d, long, vip); n != 0 {
		t.Errorf("%d deleted by a walk that has begun too many generations ago", n)
	}
}

// TestSweepAsksAgain: what has had a packet, or was told, between the look and the
// deletion stays.
func TestSweepAsksAgain(t *testing.T) {
	bothWriters(t, func(t *testing.T, d *DataPath) {
		steerTo(t, d, 1)
		flow := Flow{
			Proto: UDP, Client: netip.MustParseAddrPort("198.51.100.7:5"), VIP: netip.MustParseAddrPort("192.0.2.1:53"), Place: 1,
		}
		for name, meanwhile := range map[string]func(){
			"a packet":  func() { send(t, d, flow.Client.String()) },
			"told":      func() { apply(t, d, Replica{Flow: flow}) },
			"closing":   func() { apply(t, d, Replica{Flow: altered(flow, closing)}) },
			"moved":     func() { apply(t, d, Replica{Flow: altered(flow, at(2))}) },
			"forgotten": func() { apply(t, d, Replica{Flow: flow, Gone: true}) },
		} {
			apply(t, d, Replica{Flow: flow})
			d.NextGeneration()
			seen, ok := entryOf(t, d, flow)
			if !ok {
				t.Fatal("not there")
			}
			meanwhile()
			if n, err := d.forget([]Flow{seen}); n != 0 || err != nil {
				t.Errorf("%s: %d deleted, %v", name, n, err)
			}
		}
	})
}

// TestIdleFlowsAreHandedOver: who deletes idle flows gets to see them.
func TestIdleFlowsAreHandedOver(t *testing.T) {
	lab(t)
	d := open(t, "")
	stays, goes := flow4(1), altered(flow4(2), idle(2*time.Hour))
	put(t, d, stays, goes)
	limits := IdleLimits{Established: time.Hour, Closing: time.Minute, UDP: time.Minute}
	var gone []Flow
	n, err := d.DeleteFlows(func(f Flow) bool {
		if !limits.Exceeded(f) {
			return false
		}
		gone = append(gone, f)
		return true
	})
	if err != nil || n != 1 || len(gone) != 1 || gone[0].Client != goes.Client {
		t.Errorf("%d deleted, told of %v, %v", n, gone, err)
	}
}
