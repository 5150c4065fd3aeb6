// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/membership"
	"hafast/internal/steering"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/wire"
)

// host is a Channel that runs, with an Exchange of hellos over it.
type host struct {
	*Channel
	*membership.Exchange
	stop func()

	mu      sync.Mutex
	reports []membership.Peer
	ready   []bool
}

var boots uint64

// start runs a host that is opened by open, in whichever namespace.
func start(t *testing.T, open func(func()), o Options) *host {
	t.Helper()
	h := &host{}
	boots++
	o.Boot, o.Log = boots, slog.New(slog.DiscardHandler)
	o.Ready = func(ready bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ready = append(h.ready, ready)
	}
	var err error
	open(func() { h.Channel, err = Open(o) })
	if err != nil {
		t.Fatal(err)
	}
	h.Exchange = membership.New(o.Boot, h.Channel)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.Exchange.Run(ctx, func(p membership.Peer) {
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

// knows has the host talk to another.
func (h *host) knows(peer, source string) {
	h.Exchange.SetPeers([]membership.Neighbour{{Addr: addr(peer), Source: addr(source)}})
}

// last is what was last reported of the only peer.
func (h *host) last() membership.Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reports) == 0 {
		return membership.Peer{}
	}
	return h.reports[len(h.reports)-1]
}

func (h *host) say(t *testing.T, node string, services []steering.Service) {
	t.Helper()
	if err := h.SetSelf(membership.Hello{Node: node, State: membership.Up, Services: services}); err != nil {
		t.Error(err)
	}
}

// of is what the host's Channel says of its only peer.
func (h *host) of() conntrack.PeerStatus {
	st := h.Channel.Status()
	if len(st.Peers) != 1 {
		return conntrack.PeerStatus{}
	}
	return st.Peers[0]
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestHellosTravel(t *testing.T) {
	var many []steering.Service
	for i := range steering.MaxServices {
		many = append(many, steering.Service{VIP: addr("10.8.0.1"), Port: uint16(i + 1), Proto: steering.TCP})
	}
	for _, test := range []struct {
		name, a, b string
		keys       [][]byte
	}{
		{"IPv4, sealed", "10.9.0.1", "10.9.0.2", [][]byte{key(1)}},
		{"IPv6, sealed", "fd09::1", "fd09::2", [][]byte{key(1)}},
		{"not sealed", "10.9.0.1", "10.9.0.2", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer := cable(t)
			a := start(t, here, Options{Keys: test.keys})
			a.knows(test.b, test.a)
			a.say(t, "haa", nil)
			startB := func() *host {
				b := start(t, peer.Do, Options{Keys: test.keys})
				b.knows(test.a, test.b)
				b.say(t, "hab", many[:3])
				return b
			}
			b := startB()
			eventually.True(t, "b knows a", func() bool { return b.last().Hello.Node == "haa" })
			eventually.True(t, "a knows b", func() bool { return a.last().Hello.Node == "hab" })
			if p := a.last(); p.Silent || p.Addr != addr(test.b) || !slices.Equal(p.Hello.Services, many[:3]) {
				t.Errorf("a knows b as %+v", p)
			}

			b.stop()
			eventually.True(t, "a sees b's silence", func() bool { return a.last().Silent })
			boot := a.last().Hello.Boot
			b = startB()
			eventually.True(t, "a sees that b is back", func() bool { return !a.last().Silent })
			if a.last().Hello.Boot == boot {
				t.Error("the same boot id twice")
			}
			// All there can be said of services, in fragments.
			b.say(t, "hab", many)
			eventually.True(t, "a has all services", func() bool { return slices.Equal(a.last().Hello.Services, many) })
		})
	}
}

// TestKeysMustAgree has hosts with different keys hear nothing of each other.
func TestKeysMustAgree(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b [][]byte
		talk bool
	}{
		{"another key", [][]byte{key(1)}, [][]byte{key(2)}, false},
		{"no key", [][]byte{key(1)}, nil, false},
		{"a new key that both open", [][]byte{key(2), key(1)}, [][]byte{key(1), key(2)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer := cable(t)
			a := start(t, here, Options{Keys: test.a})
			a.knows("10.9.0.2", "10.9.0.1")
			a.say(t, "haa", nil)
			b := start(t, peer.Do, Options{Keys: test.b})
			b.knows("10.9.0.1", "10.9.0.2")
			b.say(t, "hab", nil)
			if test.talk {
				eventually.True(t, "a knows b", func() bool { return a.last().Hello.Node == "hab" })
				return
			}
			rejects := func(h *host) (n uint64) {
				for _, count := range h.of().Rejected {
					n += count
				}
				return n
			}
			eventually.True(t, "both have rejected some", func() bool { return rejects(a) > 3 && rejects(b) > 3 })
			if a.last().Hello.Node != "" || b.last().Hello.Node != "" {
				t.Errorf("believed: %+v, %+v", a.last(), b.last())
			}
		})
	}
}

// TestKeyRotation changes the keys of both hosts one after another, in the order that
// the documentation gives.
func TestKeyRotation(t *testing.T) {
	peer := cable(t)
	a := start(t, here, Options{Keys: [][]byte{key(1)}})
	a.knows("10.9.0.2", "10.9.0.1")
	a.say(t, "haa", nil)
	b := start(t, peer.Do, Options{Keys: [][]byte{key(1)}})
	b.knows("10.9.0.1", "10.9.0.2")
	b.say(t, "hab", nil)
	eventually.True(t, "a knows b", func() bool { return a.last().Hello.Node == "hab" })
	for _, keys := range [][][]byte{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
		for _, h := range []*host{a, b} {
			if err := h.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
			heardA, heardB := a.of().Received.Datagrams, b.of().Received.Datagrams
			eventually.True(t, "both hear on", func() bool {
				return a.of().Received.Datagrams > heardA+2 && b.of().Received.Datagrams > heardB+2
			})
		}
	}
	for _, h := range []*host{a, b} {
		if h.last().Silent || len(h.of().Rejected) > 0 && h.of().Rejected["key"] > 0 {
			t.Errorf("%+v, %v", h.last(), h.of().Rejected)
		}
	}
}

// TestForgedHellos: without a key, whoever is on the network could be believed, but
// nobody beyond a router.
func TestForgedHellos(t *testing.T) {
	peer := cable(t)
	a := start(t, here, Options{})
	a.say(t, "haa", nil)
	a.knows("10.9.0.2", "10.9.0.1")
	forger := listen(t, peer.Do)
	eventually.True(t, "the peer is in force", func() bool { return len(forger.heard()) > 0 })
	hello := forger.heard()[0].payload

	rejected := func(what string, send func()) {
		t.Helper()
		count := func() (n uint64) {
			st := a.Channel.Status()
			for _, m := range []map[string]uint64{counts(st.Rejected), counts(a.of().Rejected)} {
				n += m[what]
			}
			return n
		}
		before := count()
		send()
		eventually.True(t, "rejected: "+what, func() bool { return count() > before })
	}
	forge := func(source string) {
		t.Helper()
		if err := forger.send(slices.Clone(hello), membership.Neighbour{Addr: addr("10.9.0.1"), Source: addr(source)}); err != nil {
			t.Error(err)
		}
	}
	rejected("peer", func() { forge("10.9.0.12") })
	rejected("port", func() {
		var other net.PacketConn
		var err error
		peer.Do(func() { other, err = net.ListenPacket("udp4", "10.9.0.2:0") })
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Close()
		if _, err := other.WriteTo(hello, &net.UDPAddr{IP: net.IPv4(10, 9, 0, 1), Port: Port}); err != nil {
			t.Error(err)
		}
	})
	rejected("own", func() { forge("10.9.0.2") }) // what a has said itself
	setHops(t, forger.four.udp, unix.IPPROTO_IP, unix.IP_TTL, 254)
	rejected("ttl", func() { forge("10.9.0.2") })
	if a.last().Addr.IsValid() {
		t.Errorf("believed: %+v", a.last())
	}
}

// TestNotReadyBeforeThePeerHasGreeted: a host that has just started does not know
// whether there is anything to be known.
func TestNotReadyBeforeThePeerHasGreeted(t *testing.T) {
	cable(t)
	a := start(t, here, Options{Keys: [][]byte{key(1)}, Entries: &EntryOptions{}})
	a.knows("10.9.0.2", "10.9.0.1")
	said := func() []bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.Clone(a.ready)
	}
	eventually.True(t, "not ready, and then ready since nobody is there", func() bool { return slices.Equal(said(), []bool{false, true}) })
	a.SetAlive(netip.MustParseAddr("10.9.0.2"), true)
	eventually.True(t, "not ready: somebody is", func() bool { return slices.Equal(said(), []bool{false, true, false}) })
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		a.Settle([]netip.Addr{addr("10.9.0.9")})
	}()
	select {
	case <-settled:
	case <-time.After(eventually.Patience):
		t.Error("a host that does not answer is waited for without end")
	}
}

// counts are rejects by the text that is shown.
func counts(rejected map[wire.Reject]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(rejected))
	for reason, n := range rejected {
		out[string(reason)] += n
	}
	return out
}
