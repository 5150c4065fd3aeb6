// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

// fleetWorld is a world of hosts that share flows. What they tell each other arrives
// at once; what S-BFD finds out is for the test to say.
type fleetWorld struct {
	*world
	fleet []*fleetHost
}

// fleetHost is a host with a data path that only notes what it is asked for.
type fleetHost struct {
	*testHost
	addrs    []netip.Addr
	path     *fakePath
	prober   *fakeProber
	legs     *fakeLegs
	exchange *fakeExchange
}

// member is the configuration of the host with number n of count, from 1: it is known
// by 10.0.0.n and less preferred than those before it. Adverts are a second apart, so
// that what happens sooner has happened for another reason.
func member(n, count int) string {
	var peers []string
	for i := 1; i <= count; i++ {
		if i != n {
			peers = append(peers, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String())
		}
	}
	return strings.NewReplacer(
		"PEERS", strings.Join(peers, ", "),
		"PRIORITY", string([]byte{'1', '0', byte('5' - n)}),
	).Replace(`
interface: eth0
peers: [PEERS]
instances:
  - {name: VI_1, vrid: 51, priority: PRIORITY, vips: [10.0.0.208]}
haproxy: {}
metrics: off
`)
}

func members(count int) []string {
	var out []string
	for n := range count {
		out = append(out, member(n+1, count))
	}
	return out
}

// leaseFor is the default of liveness.lease.
const leaseFor = 100 * time.Millisecond

// inFleet runs f in a bubble with a host for each configuration. What a host is to start
// with is for prepare: f begins when all have started.
func inFleet(t *testing.T, configs []string, f func(w *fleetWorld), prepare ...func(h *fleetHost)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fleetWorld{world: &world{t: t}}
		for i, text := range configs {
			w.add(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), text)
			h := w.join(w.hosts[i])
			for _, change := range prepare {
				change(h)
			}
		}
		w.run(func() { f(w) })
	})
}

// mutes prepares the hosts with these addresses to say nothing, from the start on.
func mutes(addrs ...netip.Addr) (prepare func(h *fleetHost)) {
	return func(h *fleetHost) {
		if slices.Contains(addrs, h.addr) {
			h.reach.set(false, true)
		}
	}
}

// join gives a host its part in the fleet. It has an IPv6 address too: fd00::n.
func (w *fleetWorld) join(h *testHost) *fleetHost {
	n := h.addr.As4()[3]
	six := netip.AddrFrom16([16]byte{0: 0xfd, 15: n})
	m := &fleetHost{testHost: h, addrs: []netip.Addr{h.addr, six}}
	m.path = &fakePath{until: time.Now().Add(leaseFor), states: make(map[netip.Addr]steering.State), proved: make(map[netip.Addr]bool)}
	m.prober = &fakeProber{suspended: make(map[netip.Addr]bool)}
	m.legs = &fakeLegs{}
	m.exchange = &fakeExchange{w: w, from: m, boot: uint64(n)}
	h.links["eth0"] = link.State{
		Name: "eth0", Index: 2, Up: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, n},
		Addrs: []netip.Prefix{netip.PrefixFrom(h.addr, 24), netip.PrefixFrom(six, 64)},
	}
	h.loop.fleet = &fleet{
		path: m.path, prober: m.prober, legs: m.legs, exchange: m.exchange, boot: m.exchange.boot, connections: -1,
		frames:        func() (uint64, error) { return m.path.frames, nil },
		watch:         func(at observed) { m.path.watched = at },
		count:         func(on bool) { m.path.counting = on },
		watchDeparted: func(hosts []netip.Addr) { m.path.departed = hosts },
	}
	h.loop.fleet.begin(time.Now(), h.cfg.Peers, nil)
	w.fleet = append(w.fleet, m)
	return m
}

// settled has every haproxy up and every host answer all others, and waits until the
// first host is Active.
func (w *fleetWorld) settled() []*fleetHost {
	w.t.Helper()
	want := make([]vrrp.State, len(w.fleet))
	for i, h := range w.fleet {
		h.haproxy(true, "running")
		h.post(w.t.Context(), servicesFound{[]config.Service{{VIP: vip, Port: 80, Proto: "tcp"}}})
		for _, p := range h.cfg.Peers {
			h.live(p, bfd.Unknown, bfd.Up)
		}
		want[i] = vrrp.Backup
	}
	want[0] = vrrp.Active
	pass(5 * time.Second)
	w.expect(want...)
	return w.fleet
}

var vip = netip.MustParseAddr("10.0.0.208")

// live reports that a peer's liveness has changed, with nothing that speaks against
// this host's own receiving.
func (h *fleetHost) live(peer netip.Addr, from, to bfd.State) {
	h.liveWith(peer, from, to, bfd.Evidence{})
}

func (h *fleetHost) liveWith(peer netip.Addr, from, to bfd.State, e bfd.Evidence) {
	h.post(h.t.Context(), livenessChanged{bfd.Event{
		Peer: bfd.Peer{Addr: peer}, From: from, To: to, At: time.Now(), Run: 3, Evidence: e,
	}})
	synctest.Wait()
}

// silence reports that no hello has come from the peer for a while.
func (h *fleetHost) silence(peer netip.Addr) {
	h.t.Helper()
	said := h.peerIs(peer).Said
	said.Silent = true
	h.post(h.t.Context(), peerSpoke{said})
	synctest.Wait()
}

// buried reports the peer's silence, and waits until the host is sure of its death.
func (h *fleetHost) buried(peer netip.Addr) {
	h.t.Helper()
	h.silence(peer)
	pass(time.Second + leaseEvery)
}

// receiveDeadEvidence is the evidence of a host at which nothing arrives.
var receiveDeadEvidence = bfd.Evidence{Witness: bfd.Silent}

// peerIs copies what the host knows of another.
func (h *fleetHost) peerIs(a netip.Addr) (p peers.Peer) {
	h.t.Helper()
	h.on(func(time.Time) { p = *h.loop.fleet.peers.Peer(a) })
	return p
}

// desiredState is what the data path was asked for last.
func (h *fleetHost) desiredState() (w datapath.Desired) {
	h.t.Helper()
	h.on(func(time.Time) { w = h.path.desired })
	return w
}

// target finds a target in what the data path was asked for last.
func (h *fleetHost) target(a netip.Addr) (found datapath.Target) {
	h.t.Helper()
	for _, t := range h.desiredState().Targets {
		if t.Addr == a {
			return t
		}
	}
	return datapath.Target{}
}

// said is what the host tells its peers.
func (h *fleetHost) said() (hello membership.Hello) {
	h.t.Helper()
	h.on(func(time.Time) { hello = h.exchange.self })
	return hello
}

// fakePath notes what it is asked for. Only the loop uses it; see on.
type fakePath struct {
	until     time.Time
	renewedBy time.Duration
	serving   bool
	states    map[netip.Addr]steering.State
	proved    map[netip.Addr]bool
	desired   datapath.Desired
	reattach  int
	witness   uint64
	frames    uint64
	watched   observed
	counting  bool
	departed  []netip.Addr
}

func (p *fakePath) Renew(by time.Duration) (lapsed time.Duration) {
	now := time.Now()
	lapsed = max(now.Sub(p.until), 0)
	p.until, p.renewedBy = now.Add(by), by
	return lapsed
}

func (p *fakePath) SetServing(on bool)                                { p.serving = on }
func (p *fakePath) SetTargetState(a netip.Addr, state steering.State) { p.states[a] = state }
func (p *fakePath) SetLeg(a netip.Addr, proved bool)                  { p.proved[a] = proved }
func (p *fakePath) SetDesired(w datapath.Desired)                     { p.desired = w }
func (p *fakePath) Reattach()                                         { p.reattach++ }
func (p *fakePath) SetWitness(netip.Addr) error                       { return nil }

func (p *fakePath) WitnessReplies() uint64 { return p.witness }

// fakeLegs notes whose legs are probed.
type fakeLegs struct {
	peers     []bfd.Peer
	restarted []netip.Addr
}

func (l *fakeLegs) Set(peers []bfd.Peer) error { l.peers = peers; return nil }
func (l *fakeLegs) Restart(peer bfd.Peer)      { l.restarted = append(l.restarted, peer.Addr) }

// leg reports what the host has found out of the leg from a peer.
func (h *fleetHost) leg(peer netip.Addr, state bfd.LegState, forwards bool) {
	h.post(h.t.Context(), legChanged{bfd.LegEvent{Peer: bfd.Peer{Addr: peer}, State: state, Forwards: forwards}})
	synctest.Wait()
}

type fakeProber struct {
	peers     []bfd.Peer
	timing    bfd.Timing
	witness   bfd.Witness
	suspended map[netip.Addr]bool
}

func (p *fakeProber) Set(peers []bfd.Peer) error     { p.peers = peers; return nil }
func (p *fakeProber) SetTiming(t bfd.Timing) error   { p.timing = t; return nil }
func (p *fakeProber) SetWitness(w bfd.Witness) error { p.witness = w; return nil }
func (p *fakeProber) Suspend(peer bfd.Peer)          { p.suspended[peer.Addr] = true }
func (p *fakeProber) Resume(peer bfd.Peer)           { delete(p.suspended, peer.Addr) }

// fakeExchange delivers hellos to the other hosts at once, and as the real one does
// only those that have news.
type fakeExchange struct {
	w          *fleetWorld
	from       *fleetHost
	boot       uint64
	self       membership.Hello
	neighbours []membership.Neighbour
}

func (x *fakeExchange) SetSelf(h membership.Hello) error {
	h, err := membership.Fit(h)
	h.Boot = x.boot
	if !reflect.DeepEqual(h, x.self) {
		x.self = h
		x.tell()
	}
	return err
}

func (x *fakeExchange) SetPeers(list []membership.Neighbour) {
	x.neighbours = slices.Clone(list)
	x.tell()
}

func (x *fakeExchange) tell() {
	for _, n := range x.neighbours {
		for _, h := range x.w.fleet {
			if x.self.State != 0 && slices.Contains(h.addrs, n.Addr) && h.hears(x.from.testHost) {
				h.deliver(peerSpoke{membership.Peer{Addr: n.Source, Heard: time.Now(), Hello: x.self}})
			}
		}
	}
}

// changeOf is the host's interface with one more address, 10.0.0.77.
func changeOf(h *fleetHost) link.Change {
	state := h.links["eth0"]
	state.Addrs = append(slices.Clone(state.Addrs), netip.PrefixFrom(w4(77), 24))
	return link.Change{Name: "eth0", Present: true, State: state}
}
