// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/conntrack"
)

// TestPeerNamedAgain: a peer that was not named for a moment, as between two reloads of
// the configuration, still knows this start of this host and the epoch that it was told
// last. What it is told then must not be taken for what it has got already.
func TestPeerNamedAgain(t *testing.T) {
	for _, away := range []time.Duration{0, time.Second, 5 * time.Second} {
		r := newRig(t, shape{})
		a, b := r.hosts[0], r.hosts[1]
		a.hold(vip1)
		b.hold(vip2)
		for i := range 20 { // each in a batch of its own
			a.open(keyOf(i, vip1), hostA)
			b.open(keyOf(i, vip2), hostB)
			r.net.Run(5 * time.Millisecond)
		}
		r.settle(time.Second)

		a.engine.SetPeers(a.now(), nil)
		a.step()
		r.net.Run(away)
		a.fill(20, 5, vip1)
		b.fill(20, 5, vip2)
		a.engine.SetPeers(a.now(), []conntrack.Peer{{Addr: b.addr}})
		a.step()
		r.net.Run(time.Second)
		for i := range 30 {
			a.open(keyOf(100+i, vip1), hostA)
			r.net.Run(5 * time.Millisecond)
		}
		r.settle(2 * time.Second)
		if diff := difference(a.table, b.table, a.scope); diff != "" {
			t.Errorf("away for %v: the peer: %s\n%s", away, diff, r.describe())
		}
		if away > 3*time.Second {
			if diff := difference(b.table, a.table, b.scope); diff != "" {
				t.Errorf("away for %v: this host: %s\n%s", away, diff, r.describe())
			}
		}
		if n := a.peer(1).Resyncs[conntrack.ReasonStalled]; n > 0 {
			t.Errorf("away for %v: %d resyncs because the peer acknowledged nothing", away, n)
		}
	}
}

// TestReplayAfterPeerIsNamedAgain: what was recorded of a former start of the peer is
// still known to be old when the peer is named again.
func TestReplayAfterPeerIsNamedAgain(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	r.settle(time.Second)
	var recorded [][]byte
	former := b.engine
	b.engine.SendHello(b.now(), a.addr)
	b.engine.Step(b.now(), func(_ netip.Addr, datagram []byte) {
		recorded = append(recorded, append([]byte(nil), datagram...))
	})
	b.start()
	if b.engine == former || len(recorded) == 0 {
		t.Fatal("nothing was recorded")
	}
	r.settle(2 * time.Second)
	a.engine.SetPeers(a.now(), nil)
	a.engine.SetPeers(a.now(), []conntrack.Peer{{Addr: b.addr}})
	r.settle(2 * time.Second)
	for _, datagram := range recorded {
		_, _ = a.engine.Receive(a.now(), b.addr, 255, datagram)
		a.step()
	}
	r.net.Run(5 * time.Second)
	if got := a.state(1); got != conntrack.InSync {
		t.Errorf("%v after a replay\n%s", got, r.describe())
	}
}

// TestKeysChangeWhilePeerIsAway: what opens a peer's datagrams when it is named again are
// the keys of that moment.
func TestKeysChangeWhilePeerIsAway(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	a.engine.SetPeers(a.now(), nil)
	for _, h := range r.hosts {
		h.must(h.engine.SetKeys(r.ring(secondKey)))
	}
	a.fill(0, 10, vip1)
	a.engine.SetPeers(a.now(), []conntrack.Peer{{Addr: b.addr}})
	a.step()
	r.settle(2 * time.Second)
	r.alike(a, vip1)
}

// TestResyncsThatSucceedAreNotSpaced: only those that fail come ever more rarely.
func TestResyncsThatSucceedAreNotSpaced(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	for range 20 {
		b.engine.Resync(b.now())
		b.step()
		r.net.Run(10 * time.Millisecond)
		r.settle(300 * time.Millisecond)
	}
	if n := a.peer(1).Resyncs[conntrack.ReasonAsked]; n != 20 {
		t.Errorf("%d resyncs, of 20 that were asked for", n)
	}
}
