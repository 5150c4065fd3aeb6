// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hafast/internal/link/nstest"
)

// stage is a prober whose thread the test plays itself, on a clock of its own.
// Probes go to addresses of lo, where nobody listens; replies are put into the map
// at once.
type stage struct {
	p      *Prober
	th     *thread
	slots  *fakeSlots
	now    time.Duration
	state  [MaxPeers]WireState
	dead   [MaxPeers]bool
	events []Event
}

func newStage(t testing.TB, timing Timing, peers int) *stage {
	t.Helper()
	nstest.Enter(t)
	s := &stage{slots: &fakeSlots{}, now: 1000 * time.Second}
	s.slots.onSent = func(slot int, seq uint32) {
		if !s.dead[slot] {
			s.slots.answer(slot, seq, s.state[slot], s.now+40*time.Microsecond)
		}
	}
	p, err := New(Config{
		Slots: s.slots, Witness: s.slots, Timing: timing,
		Frames: func() uint64 { return 1000 }, // none since the beginning of time
		Report: func(e Event) { s.events = append(s.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s.p = p
	s.th = &thread{p: p, plan: &plan{}, now: func() time.Duration {
		s.now += time.Microsecond // reading a clock takes its time
		return s.now
	}}
	set := make([]Peer, peers)
	for i := range set {
		s.state[i] = WireUp
		set[i] = Peer{Addr: netip.AddrFrom4([4]byte{127, 0, 0, byte(10 + i)}), Slot: i}
	}
	if err := p.Set(set); err != nil {
		t.Fatal(err)
	}
	return s
}

// callWitness has somebody asked, who is silent until the test counts up slots.witness.
func (s *stage) callWitness(t testing.TB) {
	t.Helper()
	lo := nstest.Link(t, "lo").Attrs()
	err := s.p.SetWitness(Witness{
		Address: netip.MustParseAddr("127.0.0.99"), Source: netip.MustParseAddr("127.0.0.1"),
		Interface: lo.Index, MAC: make([]byte, 6),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run lets the thread tick, always on time, for so long.
func (s *stage) run(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.now = min(max(s.th.step(s.now), s.now), end)
	}
}

// deliver reports what has gathered in the mailbox, and returns it.
func (s *stage) deliver() []Event {
	d := delivery{p: s.p}
	s.events = nil
	for n, ok := s.p.mail.take(); ok; n, ok = s.p.mail.take() {
		d.handle(n)
	}
	if s.p.mail.overflow.Swap(false) {
		d.catchUp()
	}
	return s.events
}

func (s *stage) states() []State {
	var out []State
	for _, m := range s.th.plan.members {
		out = append(out, m.session.State())
	}
	return out
}

func TestKilledReflectorIsDownInTime(t *testing.T) {
	for _, timing := range []Timing{normal, {Interval: ms, Multiplier: 3}, {Interval: 10 * ms, Multiplier: 5}} {
		s := newStage(t, timing, 2)
		s.run(time.Second + 700*time.Microsecond)
		s.deliver()
		killed := s.p.clock.time(s.now)
		s.dead[1] = true
		limit := timing.Interval * time.Duration(2*timing.Multiplier+3) / 2 // multiplier + 1.5
		s.run(limit)
		events := s.deliver()
		want := []Event{{From: Up, To: Down, Run: timing.Multiplier, Evidence: Evidence{Alive: 1}}}
		if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(Event{}, "Peer", "At")); diff != "" {
			t.Fatalf("%v: events (-want +got):\n%s", timing, diff)
		}
		if took := events[0].At.Sub(killed); took > limit {
			t.Errorf("%v: down after %s", timing, took)
		}
	}
}

// TestSessionsShareABeat: sixteen peers cost one wake-up for each interval, even
// after the thread was late.
func TestSessionsShareABeat(t *testing.T) {
	s := newStage(t, normal, MaxPeers)
	wakeUps := func(d time.Duration) int {
		n := 0
		for end := s.now + d; s.now < end; n++ {
			s.now = max(s.th.step(s.now), s.now)
		}
		return n
	}
	if n := wakeUps(time.Second); n > 502 {
		t.Errorf("%d wake-ups in a second", n)
	}
	s.now += 37*ms + 123*time.Microsecond
	wakeUps(10 * ms)
	if n := wakeUps(time.Second); n > 502 {
		t.Errorf("%d wake-ups in a second after a pause", n)
	}
	for i, state := range s.states() {
		if state != Up {
			t.Errorf("peer %d is %s", i, state)
		}
	}
}

// TestStepAllocatesNothing looks at the thread's whole tick: sixteen peers, some of
// which change their state all the time, the witness, and a waiting Status.
func TestStepAllocatesNothing(t *testing.T) {
	s := newStage(t, normal, MaxPeers)
	s.callWitness(t)
	s.run(100 * ms)
	n := 0
	allocs := testing.AllocsPerRun(2000, func() {
		n++
		if n%50 == 0 {
			for i := range s.dead {
				s.dead[i] = !s.dead[i]
			}
		}
		s.p.board.asked.Add(1)
		s.now = s.th.step(s.now)
		for _, ok := s.p.mail.take(); ok; _, ok = s.p.mail.take() {
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per tick", allocs)
	}
	if got := s.p.board.n; got != MaxPeers {
		t.Errorf("status of %d peers", got)
	}
	var downs uint64
	for _, f := range s.p.board.peers {
		downs += f.snapshot.Stats.Runs[RunLengths-1]
	}
	if downs == 0 {
		t.Error("nothing happened")
	}
}

// flapAndDie has every peer go through these states, 10 ms each, and then fall silent.
func (s *stage) flapAndDie(states ...WireState) {
	for _, state := range states {
		for i := range s.state {
			s.state[i] = state
		}
		s.run(10 * ms)
	}
	for i := range s.dead {
		s.dead[i] = true
	}
	s.run(20 * ms)
}

// TestFullMailbox: nobody reads while every peer flaps. The first notices are
// kept, and in the end each peer's last state is known.
func TestFullMailbox(t *testing.T) {
	s := newStage(t, normal, MaxPeers)
	s.flapAndDie(WireUp, WireAdminDown, WireUp, WireAdminDown, WireUp, WireAdminDown, WireUp)
	events := s.deliver()
	if len(events) != mailboxSize+MaxPeers {
		t.Fatalf("%d events", len(events))
	}
	last := make(map[netip.Addr]Event)
	for i, e := range events {
		if before, ok := last[e.Peer.Addr]; ok && before.To != e.From {
			t.Errorf("event %d of %s: from %s after %s", i, e.Peer.Addr, e.From, before.To)
		}
		last[e.Peer.Addr] = e
	}
	for addr, e := range last {
		if e.To != Down {
			t.Errorf("%s ends as %s", addr, e.To)
		}
	}
}

// TestLostNoticesAccuseNobody: everybody goes quiet while nobody reads, so that the
// notices of it are lost. What the witness has said is not: it was silent, and so a
// Down is not to be trusted before the second look.
func TestLostNoticesAccuseNobody(t *testing.T) {
	s := newStage(t, normal, MaxPeers)
	s.callWitness(t)
	s.flapAndDie(WireUp, WireAdminDown, WireUp, WireAdminDown, WireUp)
	downs := 0
	for _, e := range s.deliver() {
		if e.To != Down {
			continue
		}
		downs++
		if Trust(e.Evidence) || e.Run < normal.Multiplier {
			t.Errorf("%s is down after %d misses, with evidence %+v to be trusted", e.Peer.Addr, e.Run, e.Evidence)
		}
	}
	if downs != MaxPeers {
		t.Fatalf("%d are down, want %d", downs, MaxPeers)
	}
	s.slots.witness.Add(1)
	s.run(10 * ms)
	events := s.deliver()
	if len(events) != 1 || events[0].From != Down || events[0].To != Down || !Trust(events[0].Evidence) {
		t.Errorf("when the witness has answered: %+v", events)
	}
}

// TestAllFall: everybody goes quiet at once, and each Down says that nobody answers.
func TestAllFall(t *testing.T) {
	s := newStage(t, normal, 3)
	s.run(100 * ms)
	s.deliver()
	for i := range s.dead {
		s.dead[i] = true
	}
	s.run(20 * ms)
	events := s.deliver()
	if len(events) != 3 {
		t.Fatalf("%d events", len(events))
	}
	for _, e := range events {
		if e.Evidence != (Evidence{}) || e.Run != 3 {
			t.Errorf("%+v", e)
		}
	}
	if !s.th.doubt.on {
		t.Error("the second look is over already")
	}
	if err := s.p.Set(nil); err != nil {
		t.Fatal(err)
	}
	s.run(idle)
	if s.th.doubt.on {
		t.Error("doubt outlives the peers")
	}
}

func TestGoodbyeIsNoAccusation(t *testing.T) {
	s := newStage(t, normal, 1)
	s.run(100 * ms)
	s.deliver()
	peer := s.th.plan.members[0].peer
	s.p.Suspend(peer)
	s.run(idle)
	s.dead[0] = true
	s.run(time.Second)
	s.p.Resume(peer)
	s.dead[0] = false
	s.run(time.Second)
	var got []State
	for _, e := range s.deliver() {
		got = append(got, e.To)
	}
	if want := []State{Unmonitored, Up}; !slices.Equal(got, want) {
		t.Errorf("went to %v, want %v", got, want)
	}
}

func TestSetRefuses(t *testing.T) {
	s := newStage(t, normal, 2)
	before := s.p.plan.Load()
	a := netip.MustParseAddr("127.0.0.1")
	many := make([]Peer, MaxPeers+1)
	for name, set := range map[string][]Peer{
		"too many":            many,
		"no address":          {{Slot: 1}},
		"slot out of range":   {{Addr: a, Slot: MaxPeers}},
		"slot twice":          {{Addr: a}, {Addr: there4}},
		"address twice":       {{Addr: a}, {Addr: a, Slot: 1}},
		"source of the other": {{Addr: a, Source: here6}},
		"a zone":              {{Addr: netip.MustParseAddr("fe80::1%eth0")}},
	} {
		if err := s.p.Set(set); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "slot twice" && !errors.Is(err, ErrPeers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, timing := range []Timing{{}, {Interval: ms}, {Interval: ms, Multiplier: 256}, {Interval: 1, Multiplier: 3}} {
		if err := s.p.SetTiming(timing); err == nil {
			t.Errorf("%v: no error", timing)
		}
	}
	if s.p.plan.Load() != before {
		t.Error("what was refused took effect")
	}
}
