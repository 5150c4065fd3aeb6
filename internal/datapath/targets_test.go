// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hafast/internal/bfd"
	"hafast/internal/link/nstest"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

func TestFlagsOf(t *testing.T) {
	for _, test := range []struct {
		state  steering.State
		remote loader.TargetFlags
		local  loader.TargetFlags
	}{
		{steering.Up, upRemote, upLocal},
		{steering.Drain, drained, drained | loader.TargetLocal},
		{steering.Down, 0, downLocal},
	} {
		if got := flagsOf(test.state, false, true); got != test.remote {
			t.Errorf("%s: %v, want %v", test.state, got, test.remote)
		}
		if got := flagsOf(test.state, true, true); got != test.local {
			t.Errorf("%s, local: %v, want %v", test.state, got, test.local)
		}
	}
}

func TestSameSteering(t *testing.T) {
	table := func(places ...uint8) []uint8 { return places }
	base := loader.Steering{Services: []loader.Service{{VIP: vipOf(1), Port: 80, Proto: loader.TCP}}, Tables: [][]uint8{table(1, 2)}}
	for name, test := range map[string]struct {
		change func(*loader.Steering)
		same   bool
	}{
		"itself":         {func(*loader.Steering) {}, true},
		"an equal table": {func(s *loader.Steering) { s.Tables = [][]uint8{table(1, 2)} }, true},
		"another table":  {func(s *loader.Steering) { s.Tables = [][]uint8{table(2, 1)} }, false},
		"one more table": {func(s *loader.Steering) { s.Tables = append(slices.Clone(s.Tables), table(1, 1)) }, false},
		"no services":    {func(s *loader.Steering) { s.Services = nil }, false},
		"of another number": {func(s *loader.Steering) {
			s.Services = []loader.Service{{VIP: vipOf(1), Port: 80, Proto: loader.TCP, ID: 1}}
		}, false},
	} {
		next := base
		test.change(&next)
		if got := sameSteering(base, next); got != test.same {
			t.Errorf("%s: same %t, want %t", name, got, test.same)
		}
	}
}

func TestTargetsFollow(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self(), other(2)))
	if flags(p, host(1)) != upLocal || flags(p, host(2)) != upRemote || p.Self() != place(p, host(1)) {
		t.Errorf("targets %v, self %d", p.Targets(), p.Self())
	}
	at := p.Targets()[place(p, host(2))]
	eth0 := nstest.Link(t, "eth0").Attrs()
	if at.MAC != mac(2) || at.Ifindex != eth0.Index || at.Source != [6]byte(eth0.HardwareAddr) {
		t.Errorf("reached by %+v", at)
	}
	for _, state := range []steering.State{steering.Drain, steering.Down, steering.Up} {
		away := other(2)
		away.State = state
		l.carry(p, desiredOf(self(), away))
		if got := flags(p, host(2)); got != flagsOf(state, false, true) {
			t.Errorf("%s: %v", state, got)
		}
	}
	// A hardware address may change.
	away := other(2)
	away.MAC = mac(99)
	l.carry(p, desiredOf(self(), away))
	if got := p.Targets()[place(p, host(2))].MAC; got != mac(99) {
		t.Errorf("sent to %v", got)
	}
	// Whoever is no longer named keeps the place and gets nothing.
	was := place(p, host(2))
	l.carry(p, desiredOf(self()))
	if flags(p, host(2)) != 0 || place(p, host(2)) != was {
		t.Errorf("flags %v in place %d", flags(p, host(2)), place(p, host(2)))
	}
	if a, ok := p.PlaceOf(was); !ok || a != host(2) {
		t.Errorf("place %d is of %v", was, a)
	}
	l.carry(p, desiredOf(self(), other(3), other(2)))
	if flags(p, host(2)) != upRemote || place(p, host(2)) != was || place(p, host(3)) == was {
		t.Errorf("targets %v", p.Targets())
	}
}

// Frames need an address to go to, and no router in between.
func TestUnreachableTargetsGetNoFlows(t *testing.T) {
	l := newLab(t)
	nobody, far := other(2), other(3)
	nobody.MAC = [6]byte{}
	l.routes[host(3)] = 0
	p := l.begin(desiredOf(self(), nobody))
	p.work.Lock()
	err := p.reconcile(desiredOf(self(), nobody, far))
	p.work.Unlock()
	if err == nil || !strings.Contains(err.Error(), "10.0.0.3 is behind a router") {
		t.Errorf("error %v, want one that names the target behind a router", err)
	}
	if flags(p, host(2)) != 0 || flags(p, host(3)) != 0 || flags(p, host(1)) != upLocal {
		t.Errorf("targets %v", p.Targets())
	}
	if got := chosen(p, 0); !maps.Equal(got, map[netip.Addr]bool{host(1): true}) {
		t.Errorf("new flows go to %v", got)
	}
	p.SetTargetState(host(2), steering.Up)
	p.SetTargetState(host(3), steering.Up)
	if flags(p, host(2)) != 0 || flags(p, host(3)) != 0 {
		t.Error("flipped on, though nothing can be sent there")
	}
	// As soon as it has told its hardware address, it is one like the others.
	l.routes[host(3)] = l.routes[host(2)]
	l.carry(p, desiredOf(self(), other(2), far))
	if flags(p, host(2)) != upRemote || flags(p, host(3)) != upRemote || len(chosen(p, 0)) != 3 {
		t.Errorf("targets %v, new flows to %v", p.Targets(), chosen(p, 0))
	}
}

// chosen are the targets in a table that is in force.
func chosen(p *Path, set int) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	for _, at := range p.Steering().Tables[set] {
		a, _ := p.PlaceOf(int(at))
		out[a] = true
	}
	return out
}

func TestFlip(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self(), other(2)))
	p.SetTargetState(host(2), steering.Down)
	if got := flags(p, host(2)); got != 0 {
		t.Errorf("down: %v", got)
	}
	p.SetTargetState(host(1), steering.Drain)
	if got := flags(p, host(1)); got != drained|loader.TargetLocal {
		t.Errorf("this host, drain: %v", got)
	}
	p.SetTargetState(host(9), steering.Up) // a stranger
	if got := len(p.Targets()); got != 2 {
		t.Errorf("%d targets", got)
	}
	p.SetTargetState(host(2), steering.Up)
	l.carry(p, desiredOf(self(), other(2)))
	if flags(p, host(2)) != upRemote {
		t.Errorf("up again: %v", flags(p, host(2)))
	}
}

// A desired state that was under way when a target died does not bring it back to life.
func TestFlipOutlivesAnOlderWish(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self(), other(2)))
	p.SetTargetState(host(2), steering.Down)
	older := other(2)
	older.MAC = mac(99)
	l.carry(p, desiredOf(self(), older)) // made before the death was known
	newer := older
	newer.State = steering.Down
	l.carry(p, desiredOf(self(), newer))
	if got := flags(p, host(2)); got != 0 {
		t.Errorf("flags %v after all reconciles", got)
	}
}

func TestHold(t *testing.T) {
	l := newLab(t)
	first := l.begin(desiredOf(self(), other(2)))
	must(t, first.PutFlows([]loader.Flow{flowTo(first, host(2), 1)}))
	first.RenewLease(Now())
	targets, bank := first.Targets(), bankOf(t, first)
	must(t, first.Close())

	// The daemon that has just been started knows nothing yet.
	hold := desiredOf(Target{Addr: host(1), Local: true, State: steering.Drain})
	hold.Hold = true
	hold.Peers = []netip.Addr{host(2)}
	p := l.begin(hold)
	if got := p.Targets(); !slices.Equal(got, targets) {
		t.Errorf("targets %v, the predecessor's were %v", got, targets)
	}
	if bankOf(t, p) != bank {
		t.Error("other tables are in force")
	}
	p.SetTargetState(host(1), steering.Down)
	if got := p.Targets(); !slices.Equal(got, targets) {
		t.Errorf("flipped: %v", got)
	}
	// Once it does, places are as they were.
	l.carry(p, desiredOf(other(3), other(2), self()))
	for _, was := range targets {
		if place(p, was.Addr) != was.Place {
			t.Errorf("%v has moved from place %d to %d", was.Addr, was.Place, place(p, was.Addr))
		}
	}
	if got := flowsTo(t, p, place(p, host(2))); got != 1 {
		t.Errorf("%d flows of the predecessor's, want 1", got)
	}
}

// TestHoldHasPlaces: flows are stored and sent from the first datagram of state sync on,
// which may be before the peers are known. So every target has its place from the start,
// a new one without anything being sent there, a predecessor's as it was.
func TestHoldHasPlaces(t *testing.T) {
	l := newLab(t)
	hold := desiredOf(self(), other(2))
	hold.Hold = true
	first := l.begin(hold)
	for _, a := range []netip.Addr{host(1), host(2)} {
		at, ok := first.Place(a)
		if !ok || at != place(first, a) {
			t.Errorf("%v has place %d, known %t; the program's is %d", a, at, ok, place(first, a))
		}
		if back, _ := first.PlaceOf(at); back != a {
			t.Errorf("place %d is of %v, want %v", at, back, a)
		}
		if got := flags(first, a); got != 0 {
			t.Errorf("%v is used for %v before the hold ends", a, got)
		}
	}
	l.carry(first, desiredOf(self(), other(2)))
	if flags(first, host(1)) != upLocal || flags(first, host(2)) != upRemote {
		t.Errorf("targets after the hold: %v", first.Targets())
	}
	first.RenewLease(Now())
	targets := first.Targets()
	must(t, first.Close())

	hold.Targets = []Target{other(3), self()}
	p := l.begin(hold)
	for _, was := range targets {
		if at, ok := p.Place(was.Addr); !ok || at != was.Place {
			t.Errorf("%v has place %d, known %t; the predecessor's was %d", was.Addr, at, ok, was.Place)
		}
	}
	if got := p.Targets(); len(got) != 3 || !slices.Equal(got[:2], targets) {
		t.Errorf("targets %v, want the predecessor's %v and a new one", got, targets)
	}
}

// bankOf is which of the two tables is in force.
func bankOf(t *testing.T, p *Path) uint32 {
	t.Helper()
	value, err := p.Map("control").LookupBytes(uint32(0))
	must(t, err)
	return uint32(value[12]) // struct control, bpf/abi.h: lease, serving, bank
}

func flowTo(p *Path, a netip.Addr, port uint16) loader.Flow {
	return loader.Flow{
		Proto: loader.TCP, Client: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port),
		VIP: netip.AddrPortFrom(vipOf(1), 80), Place: place(p, a),
	}
}

func flowsTo(t *testing.T, p *Path, place int) (n int) {
	t.Helper()
	for f, err := range p.Flows() {
		must(t, err)
		if f.Place == place {
			n++
		}
	}
	return n
}

// Over time there may be more targets than places. Nobody inherits a flow.
func TestPlacesAreUsedAgain(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self()))
	all := []Target{self()}
	for n := byte(2); int(n) <= loader.MaxTargets; n++ {
		all = append(all, other(n))
	}
	l.carry(p, desiredOf(all...))
	var flows []loader.Flow
	for i, target := range all {
		flows = append(flows, flowTo(p, target.Addr, uint16(1000+i)))
	}
	must(t, p.PutFlows(flows))
	gone := place(p, host(2))

	next := append(slices.Clone(all[:1]), all[2:]...)
	next = append(next, other(17))
	l.carry(p, desiredOf(next...))
	if got := place(p, host(17)); got != gone {
		t.Errorf("place %d, want that of the one that has gone, %d", got, gone)
	}
	if n := flowsTo(t, p, gone); n != 0 {
		t.Errorf("%d flows of the one that has gone would go to its successor", n)
	}
	for _, target := range next[:len(next)-1] {
		if n := flowsTo(t, p, place(p, target.Addr)); n != 1 {
			t.Errorf("%v has %d flows, want 1", target.Addr, n)
		}
	}

	// Too many at once change nothing.
	p.work.Lock()
	err := p.reconcile(desiredOf(append(next, other(18))...))
	p.work.Unlock()
	if err == nil || flags(p, host(17)) != upRemote || place(p, host(18)) != -1 {
		t.Errorf("error %v, targets %v", err, p.Targets())
	}
}

// This host's own address among the peers' is a slip that must not take its haproxy
// out of service.
func TestOwnAddressAmongTheOthers(t *testing.T) {
	l := newLab(t)
	l.routes[host(1)] = 0
	p := l.begin(desiredOf(self(), other(2)))
	p.work.Lock()
	_ = p.reconcile(desiredOf(self(), Target{Addr: host(1)}, other(2)))
	p.work.Unlock()
	if got := flags(p, host(1)); got != upLocal {
		t.Errorf("this host's haproxy is %v", got)
	}
}

func TestPolicies(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self(), other(2)))
	if got := chosen(p, 0); len(got) != 2 {
		t.Errorf("shared: %v", got)
	}
	local := desiredOf(self(), other(2))
	local.Policy = steering.Local
	l.carry(p, local)
	if got := chosen(p, 0); !maps.Equal(got, map[netip.Addr]bool{host(1): true}) {
		t.Errorf("local: %v", got)
	}
	local.Targets[0].State = steering.Drain
	l.carry(p, local)
	if got := chosen(p, 0); !maps.Equal(got, map[netip.Addr]bool{host(2): true}) {
		t.Errorf("local, and drained: %v", got)
	}
	// Whose services are configured serves them whether it was seen to or not.
	named := desiredOf(self(), other(2))
	named.Services = []steering.Service{web(1), web(2)}
	for i := range named.Targets {
		named.Targets[i].All = true
	}
	l.carry(p, named)
	if got := p.Steering().Services; len(got) != 2 || got[1].VIP != vipOf(2) || len(chosen(p, int(got[1].Set))) != 2 {
		t.Errorf("services %v", got)
	}
}

// What has not changed is not put in force again.
func TestSameWishChangesNothing(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self(), other(2))
	p := l.begin(w)
	bank := bankOf(t, p)
	for range 3 {
		l.carry(p, w)
	}
	if bankOf(t, p) != bank {
		t.Error("the tables were swapped for equal ones")
	}
}

func TestPeersAndLocals(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	w.Peers = []netip.Addr{host(3), host(2)}
	p := l.begin(w)
	count := func(name string) (n int) {
		entries := p.Map(name).Iterate()
		var key, value []byte
		for entries.Next(&key, &value) {
			n++
		}
		must(t, entries.Err())
		return n
	}
	if count("peers") != 2 || count("locals") != 2 { // an own address and a VIP
		t.Errorf("%d peers, %d own addresses", count("peers"), count("locals"))
	}
	if got := p.carried.locals[vipOf(1)]; got != bfd.Discriminator(vipOf(1)) {
		t.Errorf("discriminator %#x", got)
	}
	w.Peers = w.Peers[1:]
	w.Locals = nil
	l.carry(p, w)
	if count("peers") != 1 || count("locals") != 1 || p.carried.peers[0] != (loader.Peer{Addr: host(2), Slot: 0}) {
		t.Errorf("%d peers, %d own addresses, %v", count("peers"), count("locals"), p.carried.peers)
	}
}

// The desired state belongs to the data path once it is made.
func TestWishIsCloned(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self()))
	w := desiredOf(self(), other(2))
	p.SetDesired(w)
	w.Targets[1] = other(3)
	l.run(p, "the desired state is reconciled", func() bool { return flags(p, host(2)) == upRemote })
	if place(p, host(3)) != -1 {
		t.Error("the caller's later change was carried out")
	}
}
