// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hafast/pkg/vrrp"
)

// TestSkewOrdersBackups is CONFORMANCE VRRP 25: when the Active falls silent or
// leaves, the Backups promote in order of priority, and where a message takes less
// than the distance of their skews, only the best does.
func TestSkewOrdersBackups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom([]uint8{2, 3}).Draw(t, "version")
		interval := vrrp.MinInterval * time.Duration(rapid.IntRange(1, 4095).Draw(t, "centiseconds"))
		unit := interval
		if version == 2 {
			interval, unit = time.Second*time.Duration(rapid.IntRange(1, 255).Draw(t, "seconds")), time.Second
		}
		better := rapid.IntRange(2, 253).Draw(t, "better")
		worse := rapid.IntRange(1, better-1).Draw(t, "worse")
		n := newNetwork()
		n.problem = t.Fatalf
		n.delay = func() time.Duration { return unit/256 - 1 }
		for i, priority := range []int{254, better, worse} {
			n.add(fmt.Sprint(priority), vrrp.Instance{Name: "VI", Params: vrrp.Params{
				Version: version, VRID: 1, Priority: uint8(priority), Interval: interval,
				Preempt: rapid.Bool().Draw(t, "preempt"), Addresses: []netip.Addr{vip},
			}}, netip.AddrFrom4([4]byte{10, 0, 0, byte(9 - i)}))
		}
		for _, h := range n.hosts {
			if err := n.start(h); err != nil {
				t.Fatal(err)
			}
		}
		n.run(5 * interval)
		if rapid.Bool().Draw(t, "silent") {
			n.crash(n.hosts[0])
		} else {
			n.step(n.hosts[0], "VI", vrrp.Stop{})
		}
		from := n.now
		n.run(5*interval + time.Second)
		if got := n.holders("VI"); !slices.Equal(got, []string{fmt.Sprint(better)}) {
			t.Fatalf("held by %v, want by %d\n%s", got, better, n.take())
		}
		if n.hosts[2].acquired {
			t.Fatalf("%d promoted beside %d after %s\n%s", worse, better, n.clock(from), n.take())
		}
	})
}

// schedule is what a property draws: who takes part, and what happens to them.
type schedule struct {
	hosts    int
	groups   bool // two instances in a sync group on each
	version  uint8
	interval time.Duration
	preempt  []bool
	delays   []time.Duration // preemption's
	priority []uint8
	latency  time.Duration // at most
	seed     uint64
	events   []happening
}

type happening struct {
	host     int
	peer     int // which cannot hear the host
	instance int
	what     string
	priority uint8
	after    time.Duration
}

// drawSchedule draws a schedule; a lossy one cuts links, too.
func drawSchedule(t *rapid.T, groups, lossy bool) schedule {
	s := schedule{
		hosts:    rapid.IntRange(2, 4).Draw(t, "hosts"),
		groups:   groups,
		version:  rapid.SampledFrom([]uint8{2, 3}).Draw(t, "version"),
		interval: rapid.SampledFrom([]time.Duration{10, 20, 100, 1000}).Draw(t, "interval") * time.Millisecond,
		latency:  rapid.SampledFrom([]time.Duration{0, 100, 1000, 3000}).Draw(t, "latency") * time.Microsecond,
		seed:     rapid.Uint64().Draw(t, "seed"),
	}
	if s.version == 2 {
		s.interval = time.Second
	}
	priority := rapid.Uint8Range(1, 254)
	if groups {
		// Members on different networks may break a tie of priorities differently.
		s.priority = rapid.SliceOfNDistinct(priority, s.hosts, s.hosts, rapid.ID).Draw(t, "priority")
	} else {
		s.priority = rapid.SliceOfN(priority, s.hosts, s.hosts).Draw(t, "priority")
	}
	s.preempt = rapid.SliceOfN(rapid.Bool(), s.hosts, s.hosts).Draw(t, "preempt")
	s.delays = rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, s.interval, 5 * s.interval}), s.hosts, s.hosts).Draw(t, "delays")
	kinds := []string{"crash", "stop", "start", "out of service", "in service", "priority", "fault", "recover"}
	if lossy {
		kinds = append(kinds, "cut", "cut", "heal")
	}
	for range rapid.IntRange(1, 25).Draw(t, "events") {
		s.events = append(s.events, happening{
			host:     rapid.IntRange(0, s.hosts-1).Draw(t, "host"),
			peer:     rapid.IntRange(0, s.hosts-1).Draw(t, "peer"),
			instance: rapid.IntRange(0, 1).Draw(t, "instance"),
			what:     rapid.SampledFrom(kinds).Draw(t, "what"),
			priority: priority.Draw(t, "to"),
			after:    time.Duration(rapid.IntRange(0, 600).Draw(t, "after")) * s.interval / 100,
		})
	}
	return s
}

// network sets the schedule's hosts up and starts them.
func (s schedule) network(t *rapid.T) *network {
	random := rand.New(rand.NewPCG(s.seed, 0))
	n := newNetwork()
	n.problem = t.Fatalf
	n.delay = func() time.Duration { return time.Duration(random.Int64N(int64(s.latency) + 1)) }
	instances := 1
	if s.groups {
		instances = 2
	}
	for i := range s.hosts {
		for k := range instances {
			in := vrrp.Instance{Name: fmt.Sprintf("VI_%d", k), Interface: fmt.Sprintf("eth%d", k), Params: vrrp.Params{
				Version: s.version, VRID: uint8(k + 1), Priority: s.priority[i], Interval: s.interval,
				Preempt: s.preempt[i], PreemptDelay: s.delays[i],
				Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(k), 100})},
			}}
			if s.groups {
				in.Group = "G"
			}
			n.add(string(rune('a'+i)), in, netip.AddrFrom4([4]byte{10, 0, byte(k), byte(i + 1)}))
		}
	}
	for _, h := range n.hosts {
		if err := n.start(h); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// play lets the events happen.
func (s schedule) play(t *rapid.T, n *network) {
	for _, e := range s.events {
		n.run(e.after)
		h := n.hosts[e.host]
		n.logf("%s: %s", h.name, e.what)
		one := h.instances[e.instance%len(h.instances)].Name
		switch e.what {
		case "cut", "heal":
			iface := h.instances[e.instance%len(h.instances)].Interface
			n.cuts[link{h.name, n.hosts[e.peer].name, iface}] = e.what == "cut"
		case "crash":
			n.crash(h)
		case "start":
			if h.router == nil || !h.up() {
				n.crash(h) // whatever is left of a process that hands over
				if err := n.start(h); err != nil {
					t.Fatal(err)
				}
			}
		case "stop":
			for _, in := range h.instances {
				n.step(h, in.Name, vrrp.Stop{})
			}
		case "out of service":
			n.step(h, one, vrrp.SetPriority{Priority: vrrp.PriorityStop})
		case "in service":
			for _, in := range h.instances {
				n.step(h, in.Name, vrrp.SetPriority{Priority: s.priority[e.host]})
			}
		case "priority":
			if !s.groups { // a group's members need the same
				n.step(h, one, vrrp.SetPriority{Priority: e.priority})
			}
		case "fault":
			n.step(h, one, vrrp.SetFault{Reason: "link"})
		case "recover":
			n.step(h, one, vrrp.Recover{})
		}
	}
}

// settle is long enough for every timer, and for what follows from it.
func (s schedule) settle() time.Duration { return 25*s.interval + 300*time.Millisecond }

// check holds the network to its promises, now and for three more intervals.
func (s schedule) check(t *rapid.T, n *network) {
	taking := func() (names []string) {
		for _, h := range n.hosts {
			if h.up() {
				names = append(names, h.name)
			}
		}
		return names
	}
	limit := 1
	if len(taking()) == 0 {
		limit = 0
	}
	before := n.holders("VI_0")
	n.summary() // from here on
	n.run(3 * s.interval)
	for instance := range n.shared {
		got := n.holders(instance)
		w := n.shared[instance]
		w.book(n.now)
		if len(got) != limit || w.shared > 0 || (limit > 0 && w.none > 0) || !slices.Equal(got, before) {
			t.Fatalf("%s is held by %v (VI_0 before: %v), while %v take part; by nobody for %s, by several for %s\n%s",
				instance, got, before, taking(), w.none, w.shared, n.take())
		}
	}
	for _, h := range n.hosts {
		if !h.up() {
			continue
		}
		for _, in := range h.instances {
			if state := h.router.State(in.Name); (state == vrrp.Active) != h.holds[in.Name] {
				t.Fatalf("%s: %s is %s, and holds its addresses: %t\n%s", h.name, in.Name, state, h.holds[in.Name], n.take())
			}
		}
		s.checkOrder(t, n, h)
	}
}

// checkOrder holds h, if it may preempt, to being the Active or less than it.
func (s schedule) checkOrder(t *rapid.T, n *network, h *host) {
	active := n.host(n.holders("VI_0")[0])
	ours, theirs := h.router.Machine("VI_0"), active.router.Machine("VI_0")
	preempts := h.instances[0].Params.Preempt || theirs.Priority() == vrrp.PriorityStop
	if preempts && ours.Priority() > theirs.Priority() {
		t.Fatalf("%s (priority %d) leaves it to %s (priority %d)\n%s", h.name, ours.Priority(), active.name, theirs.Priority(), n.take())
	}
}

// checkTogether holds the instances of a host to being in one state, except
// while they hand over, which each does by itself.
func (h *host) checkTogether(t *rapid.T, n *network) {
	if !h.up() {
		return
	}
	first := h.instances[0].Name
	for _, in := range h.instances {
		m := h.router.Machine(in.Name)
		if m.Leaving() || m.State() == vrrp.Init {
			return
		}
		if m.State() != h.router.State(first) {
			t.Fatalf("%s: %s is %s, %s is %s\n%s", h.name, first, h.router.State(first), in.Name, m.State(), n.take())
		}
	}
}

// up reports whether the host takes part.
func (h *host) up() bool {
	if h.router == nil {
		return false
	}
	state := h.router.State(h.instances[0].Name)
	return state == vrrp.Backup || state == vrrp.Active
}

// TestOneActive is CONFORMANCE VRRP 38 for lossless delivery.
func TestOneActive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t, false, false)
		n := s.network(t)
		s.play(t, n)
		n.run(s.settle())
		s.check(t, n)
	})
}

// TestOneActiveAfterLoss is CONFORMANCE VRRP 38 for lossy delivery: packets are
// dropped and links cut, in one direction too, until the schedule is over.
func TestOneActiveAfterLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t, false, true)
		n := s.network(t)
		s.lose(t, n)
		s.play(t, n)
		n.lost = func() bool { return false }
		clear(n.cuts)
		n.run(s.settle())
		s.check(t, n)
	})
}

// TestSyncGroupsStayTogether adds that the members of a sync group are alike at
// all times and end alike, whatever is lost on either network.
func TestSyncGroupsStayTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t, true, true)
		n := s.network(t)
		s.lose(t, n)
		n.always = func() {
			for _, h := range n.hosts {
				h.checkTogether(t, n)
			}
		}
		s.play(t, n)
		n.lost = func() bool { return false }
		clear(n.cuts)
		n.run(s.settle())
		s.check(t, n)
	})
}

// lose makes the network drop packets.
func (s schedule) lose(t *rapid.T, n *network) {
	random := rand.New(rand.NewPCG(s.seed, 1))
	percent := rapid.SampledFrom([]int{0, 10, 50, 90}).Draw(t, "loss")
	n.lost = func() bool { return random.IntN(100) < percent }
}
