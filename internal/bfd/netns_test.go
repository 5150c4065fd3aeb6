// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The pace of the tests on the wire: the reflector is a goroutine, and must not
// be accused because it was not run for a moment.
var unhurried = Timing{Interval: 5 * ms, Multiplier: 100}

var peers = []Peer{
	{Addr: there4, Slot: 0, Source: here4},
	{Addr: there6, Slot: 1},
}

// start runs a prober until the test ends. Its events can be received.
func start(t testing.TB, cfg Config) (*Prober, <-chan Event) {
	t.Helper()
	events := make(chan Event, 1000)
	cfg.Report = func(e Event) { events <- e }
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if _, err := p.Status(); !errors.Is(err, ErrNotRunning) {
			t.Errorf("status of a prober that has ended: %v", err)
		}
		if err := p.Run(ctx); !errors.Is(err, ErrRan) {
			t.Errorf("a second run: %v", err)
		}
		p.Close()
	})
	return p, events
}

// next is the next event, which must come in seconds.
func next(t testing.TB, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
		return Event{}
	}
}

// become waits until each of the peers has taken the same step.
func become(t testing.TB, events <-chan Event, from, to State, peers ...Peer) {
	t.Helper()
	left := make(map[Peer]bool)
	for _, p := range peers {
		left[p] = true
	}
	for len(left) > 0 {
		e := next(t, events)
		if !left[e.Peer] || e.From != from || e.To != to {
			t.Fatalf("%s: %s -> %s, want %s -> %s of %v", e.Peer.Addr, e.From, e.To, from, to, left)
		}
		delete(left, e.Peer)
	}
}

// rise waits until each of the peers is up. The first answers may be late, as when an
// address is looked for on a busy machine: the peer passes for one without S-BFD then.
func rise(t testing.TB, events <-chan Event, peers ...Peer) {
	t.Helper()
	for left := slices.Clone(peers); len(left) > 0; {
		e := next(t, events)
		at := slices.Index(left, e.Peer)
		switch {
		case at >= 0 && e.From == Unknown && e.To == Unmonitored:
		case at >= 0 && e.To == Up && (e.From == Unknown || e.From == Unmonitored):
			left = slices.Delete(left, at, at+1)
		default:
			t.Fatalf("%s: %s -> %s while %v come up", e.Peer.Addr, e.From, e.To, left)
		}
	}
}

// A link-local address is probed by the interface that it is behind, from an address of
// the same scope or whichever the kernel chooses.
func TestLinkLocalPeer(t *testing.T) {
	for _, source := range []netip.Addr{hereL, {}} {
		t.Run(source.String(), func(t *testing.T) {
			peer := newWire(t)
			slots := &fakeSlots{}
			p, events := start(t, Config{Slots: slots, Timing: unhurried})
			newReflector(t, peer, slots, p.clock)
			only := Peer{Addr: thereL, Slot: 2, Source: source, Interface: nstest.Link(t, "eth0").Attrs().Index}
			if err := p.Set([]Peer{only}); err != nil {
				t.Fatal(err)
			}
			rise(t, events, only)
		})
	}
}

func TestProberOnTheWire(t *testing.T) {
	peer := newWire(t)
	slots := &fakeSlots{}
	p, events := start(t, Config{Slots: slots, Timing: unhurried})
	r := newReflector(t, peer, slots, p.clock)
	if err := p.Set(peers); err != nil {
		t.Fatal(err)
	}
	rise(t, events, peers...)

	t.Run("what a probe looks like", func(t *testing.T) {
		for _, tt := range []struct {
			from, to netip.Addr
			checksum bool
		}{{here4, there4, false}, {here6, there6, true}} {
			eventually.True(t, "a probe that says up", func() bool { return r.probe(tt.to).Packet.State == WireUp })
			got := r.probe(tt.to)
			if (got.Checksum != 0) != tt.checksum {
				t.Errorf("%s: checksum %#x", tt.to, got.Checksum)
			}
			if got.Packet.My == 0 {
				t.Errorf("%s: my discriminator is 0", tt.to)
			}
			got.Checksum, got.Packet.My = 0, 0
			want := frame{
				TTL: 255, TOS: cs6,
				From: netip.AddrPortFrom(tt.from, p.Port()), To: netip.AddrPortFrom(tt.to, Port),
				Packet: Packet{
					State: WireUp, Demand: true, Multiplier: uint8(unhurried.Multiplier), Your: Discriminator(tt.to), DesiredMinTx: 5 * ms,
				},
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("probe (-want +got):\n%s", diff)
			}
		}
		if p.Port() == Port || p.Port() == 0 {
			t.Errorf("probes leave from port %d", p.Port())
		}
	})

	r.state.Store(int32(WireAdminDown))
	become(t, events, Up, AdminDown, peers...)
	r.state.Store(dead)
	become(t, events, AdminDown, Down, peers...)
	eventually.True(t, "a probe that says down", func() bool { return r.probe(there4).Packet.State == WireDown })
	r.state.Store(int32(WireUp))
	become(t, events, Down, Up, peers...)

	p.Suspend(peers[0])
	become(t, events, Up, Unmonitored, peers[0])
	p.Resume(peers[0])
	rise(t, events, peers[0])

	t.Run("peers come and go", func(t *testing.T) {
		before := status(t, p)
		if err := p.Set(peers[1:]); err != nil {
			t.Fatal(err)
		}
		if err := p.SetTiming(Timing{Interval: 10 * ms, Multiplier: 20}); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "one peer is left", func() bool { return len(status(t, p).Peers) == 1 })
		after := status(t, p)
		if a, b := after.Peers[0].Snapshot, before.Peers[1].Snapshot; a.State != Up || a.Since != b.Since || a.Stats.Sent < b.Stats.Sent {
			t.Errorf("the session did not stay:\nbefore %+v\nafter  %+v", b, a)
		}
		if err := p.Set(peers); err != nil {
			t.Fatal(err)
		}
		rise(t, events, peers[0])
	})

	st := status(t, p)
	t.Logf("thread: %s (%v), lateness %s", st.Scheduling, st.SchedulingErr, st.Lateness)
	for _, ps := range st.Peers {
		t.Logf("%s: %s", ps.Peer.Addr, ps.Snapshot.Stats)
		if ps.Snapshot.Stats.RTT.Count == 0 || ps.Err != nil {
			t.Errorf("%s: no round trips, or not sent: %v", ps.Peer.Addr, ps.Err)
		}
	}
}

func status(t testing.TB, p *Prober) Status {
	t.Helper()
	st, err := p.Status()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestUnsentIsNoMiss: while the interface is down, nothing leaves, and nobody is
// accused of not answering it.
func TestUnsentIsNoMiss(t *testing.T) {
	peer := newWire(t)
	slots := &fakeSlots{}
	p, events := start(t, Config{Slots: slots, Timing: unhurried})
	newReflector(t, peer, slots, p.clock)
	only := peers[:1]
	if err := p.Set(only); err != nil {
		t.Fatal(err)
	}
	rise(t, events, only...)
	nstest.Down(t, "eth0")
	eventually.True(t, "probes are refused for longer than a miss would take", func() bool {
		return status(t, p).Peers[0].Snapshot.Stats.Unsent > uint64(2*unhurried.Multiplier)
	})
	st := status(t, p).Peers[0]
	if st.Snapshot.State != Up || st.Err == nil {
		t.Errorf("%s, %v: %s", st.Snapshot.State, st.Err, st.Snapshot.Stats)
	}
	if len(events) > 0 {
		e := <-events
		t.Errorf("%s -> %s", e.From, e.To)
	}
	// An interface that comes up takes frames before it lets any out, on a busy machine
	// for long enough to be a miss.
	nstest.Up(t, "eth0")
	before := st.Snapshot.Stats.Answered
	eventually.True(t, "answers again", func() bool {
		now := status(t, p).Peers[0].Snapshot
		return now.State == Up && now.Stats.Answered > before
	})
}

func TestWitnessOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		name    string
		address string // of the witness; "": none
		frames  bool   // others are heard
		want    Verdict
		trust   bool
	}{
		{"it answers", there4.String(), false, Answered, true},
		{"it is silent", "10.9.0.99", false, Silent, false},
		{"it is silent, but others are heard", "10.9.0.99", true, Silent, true},
		{"there is none", "", false, NoWitness, true},
		{"there is none, but others are heard", "", true, NoWitness, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peer := newWire(t)
			slots := &fakeSlots{}
			var frames uint64
			p, events := start(t, Config{
				Slots: slots, Witness: slots, Timing: unhurried,
				Frames: func() uint64 { // called by the goroutine that reports
					if tt.frames {
						frames++
					}
					return frames
				},
			})
			r := newReflector(t, peer, slots, p.clock)
			countARP(t, slots, tt.address)
			if tt.address != "" {
				eth0 := nstest.Link(t, "eth0").Attrs()
				err := p.SetWitness(Witness{
					Address: netip.MustParseAddr(tt.address), Source: here4, Interface: eth0.Index, MAC: eth0.HardwareAddr,
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			only := peers[:1]
			if err := p.Set(only); err != nil {
				t.Fatal(err)
			}
			rise(t, events, only...)
			r.state.Store(dead)
			e := next(t, events)
			if e.From != Up || e.To != Down || e.Evidence.Alive != 0 {
				t.Errorf("event %+v", e)
			}
			if tt.trust && !Trust(e.Evidence) {
				e = next(t, events) // the second look
			}
			if e.Evidence.Witness != tt.want || Trust(e.Evidence) != tt.trust {
				t.Errorf("evidence %+v, trust %v", e.Evidence, Trust(e.Evidence))
			}
		})
	}
}

// countARP counts the ARP replies of one address that arrive here, as the XDP
// program does.
func countARP(t testing.TB, slots *fakeSlots, of string) {
	t.Helper()
	eth0 := nstest.Link(t, "eth0").Attrs()
	conn, err := packet.Listen(&net.Interface{Name: eth0.Name, Index: eth0.Index}, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n >= 42 && b[21] == 2 && netip.AddrFrom4([4]byte(b[28:])).String() == of {
				slots.witness.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}
