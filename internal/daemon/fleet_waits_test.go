// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/pkg/vrrp"
)

// slow is how long whatever may take its time takes here.
const slow = time.Minute

// lastWord is how long the channel's SetScope waits at most (statesync.lastWordFor).
const lastWord = 20 * time.Millisecond

// slowHost is a host whose adapters take a minute for all that they do in the background.
// Time in the bubble passes only while everybody sleeps: had the loop to wait for any of
// it, the lease would be late by a minute, on however busy a machine.
type slowHost struct {
	*fleetHost
	wires   *slowWires
	channel *slowChannel
	carrier *slowCarrier
	path    *timedPath
	cancel  context.CancelFunc
	silent  chan struct{} // closed when the last hello has been sent
}

func slowed(h *fleetHost) *slowHost {
	ctx, cancel := context.WithCancel(h.t.Context())
	s := &slowHost{fleetHost: h, channel: &slowChannel{}, carrier: &slowCarrier{}, path: &timedPath{fakePath: h.path}}
	s.cancel, s.silent = cancel, make(chan struct{})
	s.wires = &slowWires{h.loop.wires.(testWires), newAdvertWires(ctx, h.post, slog.New(slog.DiscardHandler))}
	s.wires.open = func(wireKey) (advertConn, error) {
		time.Sleep(slow)
		return newFakeConn(3), nil
	}
	exchange := membership.New(2, s.carrier)
	go func() {
		defer close(s.silent)
		if err := exchange.Run(ctx, func(membership.Peer) {}); err != nil {
			h.t.Errorf("hellos: %v", err)
		}
	}()
	h.loop.wires, h.loop.sync.channel = s.wires, s.channel
	h.loop.fleet.path, h.loop.fleet.exchange = s.path, exchange
	return s
}

// end stops the host, and waits for what it does in the background.
func (s *slowHost) end() {
	s.stop()
	<-s.done
	s.cancel()
	<-s.silent
	pass(slow)
}

// slowWires sends at once, and opens sockets slowly.
type slowWires struct {
	testWires
	*advertWires
}

func (w *slowWires) send(in *instance, b []byte, dst netip.Addr) error {
	return w.testWires.send(in, b, dst)
}

func (w *slowWires) trouble(in *instance) string { return w.advertWires.trouble(in) }
func (w *slowWires) pending(in *instance) bool   { return w.advertWires.pending(in) }
func (w *slowWires) opened(ev wireOpened)        { w.advertWires.opened(ev) }

func (w *slowWires) follow(instances []*instance, links map[string]link.State) {
	w.advertWires.follow(instances, links)
}

// slowChannel takes as long for a last word as it may. Only the loop uses it.
type slowChannel struct {
	scope    []netip.Addr
	lastWord time.Time // when the last one had been sent
	alive    map[netip.Addr]bool
}

func (c *slowChannel) SetPeers([]membership.Neighbour) {}
func (c *slowChannel) SetKeys([][]byte) error          { return nil }
func (c *slowChannel) SetConfig(uint64)                {}

func (c *slowChannel) SetAlive(peer netip.Addr, alive bool) {
	if c.alive == nil {
		c.alive = map[netip.Addr]bool{}
	}
	c.alive[peer] = alive
}

func (c *slowChannel) SetScope(vips []netip.Addr) error {
	if slices.ContainsFunc(c.scope, func(a netip.Addr) bool { return !slices.Contains(vips, a) }) {
		time.Sleep(lastWord)
		c.lastWord = time.Now()
	}
	c.scope = slices.Clone(vips)
	return nil
}

// slowCarrier sends hellos slowly.
type slowCarrier struct{}

func (slowCarrier) SetPeers([]membership.Neighbour) {}

func (slowCarrier) Send([]byte, netip.Addr) error {
	time.Sleep(slow)
	return nil
}

func (slowCarrier) Run(ctx context.Context, _ func(membership.Packet)) error {
	<-ctx.Done()
	return nil
}

// timedPath notes the longest time between two renewals of the lease.
type timedPath struct {
	*fakePath
	last    time.Time
	longest time.Duration
}

func (p *timedPath) Renew(by time.Duration) time.Duration {
	now := time.Now()
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	p.last = now
	return p.fakePath.Renew(by)
}

// TestLoopNeverWaits: while sockets are opened and hellos are sent for a minute, the lease
// is renewed on time, and a dead peer's VIPs are taken in the instant.
func TestLoopNeverWaits(t *testing.T) {
	var b *slowHost
	prepare := func(h *fleetHost) {
		if h.addr == w4(2) {
			b = slowed(h)
		}
	}
	inFleet(t, members(2), func(w *fleetWorld) {
		a := w.settled()[0]
		moved := changeOf(b.fleetHost)
		moved.State.Index++ // the interface was made anew
		b.post(b.t.Context(), linkChanged{moved})
		synctest.Wait()
		b.on(func(time.Time) {
			if !b.wires.pending(b.instances[0]) {
				t.Error("no socket is being opened")
			}
		})

		died := time.Now()
		a.reach.set(true, true)
		b.live(a.addr, bfd.Up, bfd.Down)
		if w.expect(vrrp.Active, vrrp.Active); time.Since(died) != 0 {
			t.Errorf("taken over after %v", time.Since(died))
		}
		b.on(func(time.Time) {
			if alive, known := b.channel.alive[a.addr]; alive || !known {
				t.Error("the channel waits for a dead host's last word")
			}
			if !slices.Equal(b.channel.scope, []netip.Addr{vip}) {
				t.Errorf("the channel knows of %v as this host's", b.channel.scope)
			}
		})
		pass(slow / 2)
		b.on(func(time.Time) {
			if b.path.longest > leaseEvery {
				t.Errorf("the lease was renewed after %v, %v late", b.path.longest, b.path.longest-leaseEvery)
			}
		})

		// The last word comes before the advert that resigns, and delays nothing else.
		b.end()
		if resigned := b.sent[len(b.sent)-1]; b.channel.lastWord.IsZero() || resigned.Before(b.channel.lastWord) {
			t.Errorf("resigned at %v, the last word was sent at %v", resigned, b.channel.lastWord)
		}
		if limit := leaseEvery + lastWord; b.path.longest > limit {
			t.Errorf("the lease was renewed after %v, with a last word in between, not within %v", b.path.longest, limit)
		}
	}, prepare)
}

// TestNewInstanceWaitsForItsSocket: one that a reload adds sends nothing before it can, and
// then begins. The others go on meanwhile.
func TestNewInstanceWaitsForItsSocket(t *testing.T) {
	const second = `  - {name: VI_2, interface: eth1, vrid: 52, priority: 104, vips: [10.1.0.208]}
haproxy`
	var h *slowHost
	inFleet(t, members(1), func(w *fleetWorld) {
		h.post(h.t.Context(), linkChanged{link.Change{Name: "eth1", Present: true, State: link.State{
			Name: "eth1", Index: 3, Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")},
		}}})
		w.settled()
		h.reload(strings.Replace(member(1, 1), "haproxy", second, 1))
		pass(slow / 2)
		before := len(h.adverts())
		if got := h.state("VI_2"); got != vrrp.Init {
			t.Errorf("%v without a socket, want %v", got, vrrp.Init)
		}
		pass(slow/2 + 5*time.Second)
		if got := h.state("VI_2"); got != vrrp.Active {
			t.Errorf("%v with a socket, want %v; log:\n%s", got, vrrp.Active, h.log.String())
		}
		if sent := len(h.adverts()) - before; sent < 30 {
			t.Errorf("the other instance sent %d adverts in 30 s", sent)
		}
		h.end()
	}, func(f *fleetHost) { h = slowed(f) })
}
