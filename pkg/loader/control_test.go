// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hafast/internal/eventually"
)

func TestBeatsDoNotAllocate(t *testing.T) {
	lab(t)
	d := open(t, "")
	s, err := d.Session(3)
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		d.RenewLease(time.Hour)
		d.SetServing(true)
		d.SetGate(1, true)
		if err := d.SetTargetFlags(1, TargetNew); err != nil {
			t.Error(err)
		}
		s.SetSent(4)
		s.Reply()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestControlIsWrittenWhereTheProgramReads(t *testing.T) {
	lab(t)
	d := open(t, "")
	d.RenewLease(123456789 * time.Nanosecond)
	d.SetServing(true)
	d.SetProbe(40000, 2*time.Millisecond, 17)
	if err := errors.Join(d.SetSelf(3), d.SetWitness(netip.MustParseAddr("192.0.2.254"))); err != nil {
		t.Fatal(err)
	}
	d.SetGate(0, true)
	d.SetGate(1, true)
	d.SetGate(2, true)
	d.SetGate(1, false)
	d.SetGate(MaxGates-1, true)

	var c bpfControl
	if err := d.maps.Control.Lookup(uint32(0), &c); err != nil {
		t.Fatal(err)
	}
	if c.Lease != 123456789 || c.Serving != 1 || c.ProbePort != 40000 || c.MinRx != 2000 || c.ReflectLimit != 17 || c.Self != 3 {
		t.Errorf("control is %+v", c)
	}
	if c.Witness != word4(netip.MustParseAddr("192.0.2.254")) {
		t.Errorf("the witness is %#x", c.Witness)
	}
	want := [MaxGates]uint8{0: 1, 2: 1, MaxGates - 1: 1}
	if c.Open != want || !d.Gate(0) || d.Gate(1) || !d.Gate(2) {
		t.Error("the wrong gates are open")
	}
	if d.Lease() != 123456789 || !d.Serving() || d.Self() != 3 {
		t.Error("it reads otherwise than it was written")
	}
	if d.SetWitness(netip.MustParseAddr("2001:db8::1")) == nil || d.SetSelf(MaxTargets) == nil || d.SetSelf(-1) == nil {
		t.Error("nonsense is taken")
	}
	if err := d.SetWitness(netip.Addr{}); err != nil {
		t.Error(err)
	}
}

func TestSessionIsSharedWithTheProgram(t *testing.T) {
	lab(t)
	d := open(t, "")
	s, err := d.Session(MaxPeers - 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.maps.Sessions.Put(uint32(MaxPeers-1), bpfSession{Reply: 7<<32 | 3, ReplyAt: 99, Replies: 5}); err != nil {
		t.Fatal(err)
	}
	if seq, state, at, replies := s.Reply(); seq != 7 || state != 3 || at != 99 || replies != 5 {
		t.Errorf("got %d %d %d %d", seq, state, at, replies)
	}
	s.SetSent(8)
	var v bpfSession
	if err := d.maps.Sessions.Lookup(uint32(MaxPeers-1), &v); err != nil || v.Sent != 8 || v.Reply != 7<<32|3 {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, slot := range []int{-1, MaxPeers} {
		if _, err := d.Session(slot); err == nil {
			t.Errorf("there is a session %d", slot)
		}
	}
}

// TestHandlesOutliveClose: a prober that is a moment late must not crash the daemon.
func TestHandlesOutliveClose(t *testing.T) {
	dir := lab(t)
	d := open(t, dir)
	s, err := d.Session(0)
	if err != nil {
		t.Fatal(err)
	}
	closePath(t, d)
	s.SetSent(1)
	s.Reply()
	d.RenewLease(time.Second)
	if _, err := d.Counters(); err == nil {
		t.Error("counters of a closed data path")
	}
	if _, err := d.Attach("lo", ModeAuto); err == nil {
		t.Error("attached a closed data path")
	}
}

func TestVIPsFilterAndMapAgree(t *testing.T) {
	lab(t)
	d := open(t, "")
	address := rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(b []byte) netip.Addr {
		if b[3]%2 == 0 {
			return netip.AddrFrom4([4]byte(b))
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 15: b[3], 14: b[2]})
	})
	rapid.Check(t, func(t *rapid.T) {
		gates := rapid.MapOfN(address, rapid.IntRange(0, MaxGates-1), 0, 20).Draw(t, "vips")
		var vips []VIP
		want := make(map[bpfAddress]bpfVip)
		var filter [len(bpfControl{}.Filter)]uint64
		for a, gate := range gates {
			vips = append(vips, VIP{a, gate})
			want[addressKey(a)] = bpfVip{Gate: uint32(gate)}
			filter[AddressHash(a)/64] |= 1 << (AddressHash(a) % 64)
		}
		if err := d.SetVIPs(vips); err != nil {
			t.Fatal(err)
		}
		got := make(map[bpfAddress]bpfVip)
		var key bpfAddress
		var value bpfVip
		for all := d.maps.Vips.Iterate(); all.Next(&key, &value); {
			got[key] = value
		}
		if !maps.Equal(got, want) {
			t.Errorf("the map is %v, not %v", got, want)
		}
		var c bpfControl
		if err := d.maps.Control.Lookup(uint32(0), &c); err != nil || c.Filter != filter {
			t.Errorf("the filter is another, %v", err)
		}
	})
}

func TestAddressesAreReplaced(t *testing.T) {
	lab(t)
	d := open(t, "")
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, locals := range []map[netip.Addr]uint32{{a: 1, b: 2}, {b: 3}, {}} {
		if err := d.SetLocals(locals); err != nil {
			t.Fatal(err)
		}
		var v bpfLocal
		for _, addr := range []netip.Addr{a, b} {
			err := d.maps.Locals.Lookup(addressKey(addr), &v)
			if want, there := locals[addr]; there != (err == nil) || there && v.Discriminator != want {
				t.Errorf("%v: %d, %v", addr, v.Discriminator, err)
			}
		}
	}
	if err := d.SetPeers([]Peer{{a, 0}, {b, MaxPeers - 1}}); err != nil {
		t.Fatal(err)
	}
	var p bpfPeer
	if err := d.maps.Peers.Lookup(addressKey(b), &p); err != nil || p.Slot != MaxPeers-1 {
		t.Errorf("slot %d, %v", p.Slot, err)
	}
	many := make([]VIP, MaxVIPs+1)
	for i := range many {
		many[i].Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	if d.SetPeers([]Peer{{a, MaxPeers}}) == nil || d.SetVIPs([]VIP{{a, MaxGates}}) == nil || d.SetVIPs(many) == nil {
		t.Error("nonsense is taken")
	}
	if err := d.SetVIPs(many[:MaxVIPs]); err != nil {
		t.Errorf("as many as there is room for: %v", err)
	}
}

func TestTargets(t *testing.T) {
	lab(t)
	d := open(t, "")
	one := Target{
		Place: 2, Addr: netip.MustParseAddr("192.0.2.101"), Ifindex: 7, MAC: [6]byte{1, 2, 3, 4, 5, 6},
		Source: [6]byte{7, 8, 9, 10, 11, 12}, Flags: TargetNew | TargetOld,
	}
	two := Target{Place: 5, Addr: netip.MustParseAddr("2001:db8::102"), Flags: TargetLocal | TargetNew | TargetOld}
	inUse := func() (n uint32) {
		d.control.use(0, func(c *bpfControl) { n = c.Targets })
		return n
	}
	check := func(what string, places uint32, want ...Target) {
		t.Helper()
		if got := d.Targets(); !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, not %+v", what, got, want)
		}
		if inUse() != places {
			t.Errorf("%s: %d places in use, not %d", what, inUse(), places)
		}
	}
	set := func(targets ...Target) {
		t.Helper()
		for _, target := range targets {
			if err := d.SetTarget(target); err != nil {
				t.Fatal(err)
			}
		}
	}
	check("at first", 0)
	set(two, one)
	check("two targets", 6, one, two)

	one.Flags = TargetOld
	if err := d.SetTargetFlags(one.Place, one.Flags); err != nil {
		t.Fatal(err)
	}
	check("draining", 6, one, two)
	one.MAC, one.Ifindex = [6]byte{9, 9, 9, 9, 9, 9}, 8
	set(one)
	check("another MAC", 6, one, two)
	two.Addr = netip.MustParseAddr("192.0.2.103")
	set(two)
	check("another owner", 6, one, two)
	set(Target{Place: two.Place})
	check("freed", 3, one)
	one.Flags = 0
	set(one)
	check("down, but it keeps its place", 3, one)

	if d.SetTarget(Target{Place: MaxTargets}) == nil || d.SetTargetFlags(-1, 0) == nil {
		t.Error("nonsense is taken")
	}
}

func TestPublishedSteeringIsWhole(t *testing.T) {
	lab(t)
	d := open(t, "")
	steerTo(t, d, 1)
	steerTo(t, d, 2) // both are healthy; the tables say which one
	steerTo(t, d, 0) // whoever finds no target in a table ends up here
	if err := d.SetSelf(MaxTargets - 1); err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParseAddr("192.0.2.1")
	steering := func(place uint8) Steering {
		// The service is in another place and another set each time.
		s := Steering{Tables: make([][]uint8, 1+int(place)*7)}
		for i := range s.Tables {
			s.Tables[i] = slices.Repeat([]uint8{NoTarget}, TableSize)
		}
		last := len(s.Tables) - 1
		s.Tables[last] = slices.Repeat([]uint8{place}, TableSize)
		for port := range 100 * uint16(place) {
			s.Services = append(s.Services, Service{VIP: vip, Port: 1000 + port, Proto: TCP, Set: NoSet})
		}
		s.Services = append(s.Services, Service{VIP: vip, Port: 80, Proto: TCP, Set: uint16(last)})
		return s
	}
	both := []Steering{steering(1), steering(2)}
	if err := d.Publish(both[0]); err != nil {
		t.Fatal(err)
	}

	done, stop := make(chan error, 1), make(chan struct{})
	var seen [3]atomic.Int64
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			frame := syn4Frame(fmt.Sprintf("198.51.100.7:%d", 1+n%60000), "192.0.2.1:80")
			verdict, out, err := d.Program().Test(frame)
			if err == nil && (verdict != 3 || len(out) < 6 || out[5] != 1 && out[5] != 2) {
				err = fmt.Errorf("verdict %d, frame % x", verdict, out)
			}
			if err != nil {
				done <- err
				return
			}
			seen[out[5]].Add(1)
		}
	}()
	turn := 0
	swap := func() {
		turn++
		if err := d.Publish(both[turn%2]); err != nil {
			t.Error(err)
		}
	}
	for range 50 {
		swap()
	}
	eventually.True(t, "packets have seen both", func() bool {
		swap()
		return len(done) > 0 || seen[1].Load() > 0 && seen[2].Load() > 0
	})
	close(stop)
	if err := <-done; err != nil {
		t.Fatalf("a packet has seen something in between: %v", err)
	}
}

func TestPublishTwiceIsOnce(t *testing.T) {
	lab(t)
	d := open(t, "")
	bank := func() (b uint32) {
		d.control.use(0, func(c *bpfControl) { b = c.Bank })
		return b
	}
	vip := netip.MustParseAddr("192.0.2.1")
	s := Steering{
		Tables:   [][]uint8{make([]uint8, TableSize)},
		Services: []Service{{VIP: vip, Port: 80, Proto: TCP}, {VIP: vip, Port: 443, Proto: TCP}, {VIP: vip, Port: 443, Proto: UDP}},
	}
	before := bank()
	for range 3 {
		if err := d.Publish(s); err != nil {
			t.Fatal(err)
		}
		if bank() == before {
			t.Fatal("not published, or twice")
		}
		slices.Reverse(s.Services)
	}
}

func TestBadSteeringIsNotPublished(t *testing.T) {
	lab(t)
	d := open(t, "")
	vip, vip6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	good := Steering{Services: []Service{{VIP: vip, Port: 80, Proto: TCP, Set: NoSet}}}
	if err := d.Publish(good); err != nil {
		t.Fatal(err)
	}
	inForce := func() []byte {
		var bank int
		d.control.use(0, func(c *bpfControl) { bank = int(c.Bank) })
		var b []byte
		d.steering.use(bank, func(s *bpfSteering) { b = bytes.Clone(steeringBytes(s)) })
		return b
	}
	before := inForce()

	// As many services as share their first place do not fit.
	var crowd []Service
	for port := uint16(1); len(crowd) <= serviceProbes; port++ {
		if ServiceHash(vip6, port, UDP) == ServiceHash(vip6, 1, UDP) {
			crowd = append(crowd, Service{VIP: vip6, Port: port, Proto: UDP, Set: NoSet})
		}
		if port == 65535 {
			vip6 = vip6.Next()
			port, crowd = 0, nil
		}
	}
	last := crowd[len(crowd)-1]
	one := make([]uint8, TableSize)
	wrong := slices.Clone(one)
	wrong[TableSize-1] = uint8(MaxTargets)
	for name, c := range map[string]struct {
		s    Steering
		want string
	}{
		"no room":          {Steering{Services: crowd}, last.String()},
		"twice":            {Steering{Services: append(slices.Clone(good.Services), good.Services...)}, "tcp 192.0.2.1:80"},
		"no such table":    {Steering{Services: []Service{{VIP: vip, Port: 80, Proto: TCP, Set: 1}}, Tables: [][]uint8{one}}, "table 1"},
		"short table":      {Steering{Tables: [][]uint8{one[1:]}}, "slots"},
		"no such place":    {Steering{Tables: [][]uint8{wrong}}, "place 16"},
		"too many tables":  {Steering{Tables: make([][]uint8, MaxSets+1)}, "65 tables"},
		"unknown protocol": {Steering{Services: []Service{{VIP: vip, Port: 80, Proto: 132, Set: NoSet}}}, "neither"},
		"no address":       {Steering{Services: []Service{{Port: 80, Proto: TCP, Set: NoSet}}}, "no address"},
	} {
		if err := d.Publish(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if !bytes.Equal(inForce(), before) {
			t.Fatalf("%s: it has been published", name)
		}
	}
}

func TestCountersSumOverCPUs(t *testing.T) {
	lab(t)
	d := open(t, "")
	before, err := d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	const n = 5
	for range n {
		if _, _, err := d.Program().Test(ethernet(0x88b5, 46)); err != nil {
			t.Fatal(err)
		}
	}
	after, err := d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	before[PassOther] += n
	if after != before {
		t.Errorf("got %v, not %v", after, before)
	}
}
