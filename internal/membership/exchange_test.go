// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"hafast/internal/eventually"
	"hafast/internal/steering"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cables is a network of carriers, by address.
type cables struct {
	mu   sync.Mutex
	ends map[netip.Addr]*end
}

// end is the carrier of the host with one address.
type end struct {
	net     *cables
	addr    netip.Addr
	arrived chan Packet
}

var errNobodyThere = errors.New("nobody is there")

// end plugs a host in, in place of one that was there before.
func (c *cables) end(a string) *end {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = make(map[netip.Addr]*end)
	}
	e := &end{net: c, addr: addr(a), arrived: make(chan Packet, 1024)}
	c.ends[e.addr] = e
	return e
}

func (e *end) SetPeers([]Neighbour) {}

func (e *end) Send(hello []byte, to netip.Addr) error {
	e.net.mu.Lock()
	peer := e.net.ends[to]
	e.net.mu.Unlock()
	if peer == nil {
		return fmt.Errorf("%s: %w", to, errNobodyThere)
	}
	select {
	case peer.arrived <- Packet{From: e.addr, Payload: slices.Clone(hello)}:
	default: // as a network does
	}
	return nil
}

func (e *end) Run(ctx context.Context, receive func(Packet)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-e.arrived:
			receive(p)
		}
	}
}

// host is an Exchange that runs, and what it has reported.
type host struct {
	*Exchange
	stop func()

	mu      sync.Mutex
	reports []Peer
}

// boots counts the starts of hosts.
var boots uint64

// start runs an Exchange over a carrier.
func start(t *testing.T, carrier Carrier) *host {
	t.Helper()
	boots++
	h := &host{Exchange: New(boots, carrier)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.Run(ctx, func(p Peer) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.reports = append(h.reports, p)
		})
	}()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// knows sets the peers, and waits until they are: what one says before that is rejected.
func (h *host) knows(t *testing.T, peers ...netip.Addr) {
	t.Helper()
	var list []Neighbour
	for _, a := range peers {
		list = append(list, Neighbour{Addr: a})
	}
	h.SetPeers(list)
	eventually.True(t, "the peers are known", func() bool {
		h.work.Lock()
		defer h.work.Unlock()
		return len(h.table.Peers()) == len(peers)
	})
}

// last is what was last reported of the only peer.
func (h *host) last() Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reports) == 0 {
		return Peer{}
	}
	return h.reports[len(h.reports)-1]
}

func (h *host) say(t *testing.T, node string, change func(*Hello)) {
	t.Helper()
	s := Hello{Node: node, State: Up, Services: list("10.8.0.1", 3)}
	if change != nil {
		change(&s)
	}
	if err := h.SetSelf(s); err != nil {
		t.Error(err)
	}
}

func TestTwoHosts(t *testing.T) {
	var net cables
	atA, atB := addr("10.9.0.1"), addr("10.9.0.2")
	a := start(t, net.end("10.9.0.1"))
	a.knows(t, atB)
	a.say(t, "haa", nil)
	startB := func() *host {
		b := start(t, net.end("10.9.0.2"))
		b.knows(t, atA)
		b.say(t, "hab", nil)
		return b
	}
	b := startB()

	eventually.True(t, "b knows a", func() bool { return b.last().Hello.Node == "haa" })
	eventually.True(t, "a knows b", func() bool { return a.last().Hello.Node == "hab" })
	if p := a.last(); p.Silent || p.Addr != atB || !slices.Equal(p.Hello.Services, list("10.8.0.1", 3)) {
		t.Errorf("a knows b as %+v", p)
	}

	b.say(t, "hab", func(h *Hello) { h.State, h.Reason, h.Left = Drain, "drained", 3 })
	eventually.True(t, "a sees that b drains", func() bool { return a.last().Hello.State == Drain && a.last().Hello.Left == 3 })
	// Left alone is no reason to hurry, but is told.
	b.say(t, "hab", func(h *Hello) { h.State, h.Reason, h.Left = Drain, "drained", 2 })
	eventually.True(t, "a sees how many are left", func() bool { return a.last().Hello.Left == 2 })

	b.stop()
	eventually.True(t, "a sees b's silence", func() bool { return a.last().Silent })
	boot := a.last().Hello.Boot
	if a.last().Hello.State != Drain {
		t.Errorf("what b said last is gone: %+v", a.last())
	}

	b = startB()
	eventually.True(t, "a sees that b is back", func() bool { return !a.last().Silent && a.last().Hello.State == Up })
	if a.last().Hello.Boot == boot {
		t.Error("the same boot id twice")
	}
	// All there can be said of services.
	all := slices.Concat(list("10.8.0.1", MaxServices), list("fd08::1", MaxServices))
	b.say(t, "hab", func(h *Hello) { h.Services = all })
	eventually.True(t, "a has all services", func() bool { return slices.Equal(a.last().Hello.Services, all) })

	b.say(t, "hab", func(h *Hello) { h.State = Stopping })
	b.stop()
	eventually.True(t, "a hears the goodbye", func() bool { return a.last().Hello.State == Stopping })
	for reason, n := range a.Stats().Rejected {
		if n != 0 {
			t.Errorf("%d packets rejected: %s", n, reason)
		}
	}
}

func TestGoodbyeIsSaidThreeTimes(t *testing.T) {
	var net cables
	peer := net.end("10.9.0.2")
	a := start(t, net.end("10.9.0.1"))
	a.SetPeers([]Neighbour{{Addr: peer.addr}})
	// Nothing was said before: these three come from Run's end, or the last of them.
	a.say(t, "haa", func(h *Hello) { h.State = Stopping })
	a.stop()
	seen := map[uint64]bool{}
	for len(peer.arrived) > 0 {
		h, err := Decode((<-peer.arrived).Payload)
		if err != nil || h.State != Stopping || seen[h.Sequence] {
			t.Errorf("%+v %v", h, err)
		}
		seen[h.Sequence] = true
	}
	if len(seen) < 3 {
		t.Errorf("%d goodbyes", len(seen))
	}
}

func TestWhatCannotBeSentIsReported(t *testing.T) {
	var net cables
	a := start(t, net.end("10.9.0.1"))
	a.say(t, "haa", nil)
	a.SetPeers([]Neighbour{{Addr: addr("192.0.2.1")}})
	eventually.True(t, "reported", func() bool { return a.last().Unsent == "192.0.2.1: nobody is there" })
	eventually.True(t, "counted", func() bool { return a.Stats().Unsent > 2 })
}

func TestSetSelfWithoutStateIsRefused(t *testing.T) {
	var net cables
	e := New(1, net.end("10.9.0.1"))
	if err := e.SetSelf(Hello{}); !errors.Is(err, RejectValue) {
		t.Errorf("no state: %v", err)
	}
	err := e.SetSelf(Hello{State: Up, Services: []steering.Service{{}}})
	if !errors.Is(err, ErrLeftOut) || e.notes.self.State != Up {
		t.Errorf("a service that is none: %v, %+v", err, e.notes.self)
	}
}

// TestBlockedReport: while nobody takes the reports, all else goes on, and Run
// ends when it is told to.
func TestBlockedReport(t *testing.T) {
	var net cables
	b := start(t, net.end("10.9.0.2"))
	b.knows(t, addr("10.9.0.1"))
	b.say(t, "hab", nil)

	boots++
	e := New(boots, net.end("10.9.0.1"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	blocked, done := make(chan struct{}), make(chan error, 1)
	once := sync.OnceFunc(func() { close(blocked) })
	e.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}})
	go func() {
		done <- e.Run(ctx, func(Peer) {
			once()
			<-ctx.Done()
		})
	}()
	<-blocked
	for state := Up; state <= Stopping; state++ {
		if err := e.SetSelf(Hello{State: state}); err != nil {
			t.Error(err)
		}
		e.SetPeers([]Neighbour{{Addr: addr("10.9.0.2")}})
		if e.Stats().Accepted == 0 {
			t.Error("nothing to be seen")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	eventually.True(t, "the goodbye is heard", func() bool { return b.last().Hello.State == Stopping })
}
