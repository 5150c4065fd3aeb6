// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// wiretap keeps what a host is sent.
type wiretap struct {
	*host
	from int
	all  [][]byte
}

func (w *wiretap) Receive(now time.Time, from int, datagram []byte) {
	if from == w.from {
		w.all = append(w.all, slices.Clone(datagram))
	}
	w.host.Receive(now, from, datagram)
}

// replay has the host receive all again.
func (w *wiretap) replay() {
	for _, d := range w.all {
		_, _ = w.engine.Receive(w.now(), addrOf(w.from), 255, slices.Clone(d))
		w.host.step()
	}
}

// TestReplay: recorded datagrams change nothing, not those of this boot, nor of earlier
// boots of either host.
func TestReplay(t *testing.T) {
	r := newRig(t, shape{seed: 1})
	a, b := r.hosts[0], r.hosts[1]
	tap := &wiretap{host: b, from: 0}
	r.net.Attach(1, tap)
	a.fill(0, 1000, vip1)
	a.hold(vip1)
	a.churn(1000, 500, vip1)
	r.settle(time.Second)
	for i := range 1000 {
		a.news(conntrack.Deleted, record.Flow{Key: keyOf(i, vip1)})
	}
	r.settle(time.Second)
	r.alike(a, vip1)
	applied := b.table.applied
	check := func(when string) {
		t.Helper()
		tap.replay()
		if b.table.applied != applied {
			t.Errorf("%s: %d records of a replay were applied", when, b.table.applied-applied)
		}
		r.alike(a, vip1)
	}
	check("same boots")
	if n := b.peer(0).Rejected[wire.RejectReplay]; n != uint64(len(tap.all)) {
		t.Errorf("%d of %d datagrams rejected as replayed", n, len(tap.all))
	}
	b.start()
	r.net.Attach(1, tap)
	recorded := tap.all
	check("receiver started anew, nothing heard yet")
	if got := b.state(0); got != conntrack.Connecting {
		t.Errorf("a replay has brought the session to %v", got)
	}
	r.settle(time.Second)
	tap.all = recorded
	applied = b.table.applied
	check("receiver started anew")
	a.start()
	r.settle(time.Second)
	applied = b.table.applied
	check("sender started anew")
	if got := b.state(0); got != conntrack.InSync {
		t.Errorf("after the replay of a former boot: %v", got)
	}
	r.net.Run(10 * time.Second)
	r.settle(time.Second)
}

// TestForgery: what does not come from a peer with the key is counted and changes
// nothing.
func TestForgery(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	tap := &wiretap{host: b, from: 0}
	r.net.Attach(1, tap)
	a.hold(vip1)
	a.churn(0, 200, vip1)
	r.settle(time.Second)
	applied := b.table.applied

	sealer, err := wire.NewSealer(r.ring(secondKey), 99)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := sealer.Seal(nil, wire.AppendTip(wire.AppendTo(nil, 1), wire.Tip{Epoch: 1, Last: 5}))
	if err != nil {
		t.Fatal(err)
	}
	genuine := tap.all[len(tap.all)-1]
	for _, c := range []struct {
		from   netip.Addr
		text   []byte
		reason wire.Reject
	}{
		{netip.MustParseAddr("10.9.0.99"), genuine, conntrack.RejectPeer},
		{a.addr, forged, wire.RejectKey},
		{a.addr, []byte("hello"), wire.RejectShort},
		{a.addr, bytes.Repeat([]byte("x"), 100), wire.RejectMagic},
		{a.addr, genuine, wire.RejectReplay},
	} {
		if _, err := b.engine.Receive(b.now(), c.from, 255, slices.Clone(c.text)); !errors.Is(err, c.reason) {
			t.Errorf("%v, not %v", err, c.reason)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		text := slices.Clone(tap.all[random.IntN(len(tap.all))])
		text[random.IntN(len(text))] ^= 1 << random.IntN(8)
		if _, err := b.engine.Receive(b.now(), a.addr, 255, text[:random.IntN(len(text)+1)]); err == nil {
			t.Fatal("a flipped or cut datagram was accepted")
		}
		b.step()
	}
	if b.table.applied != applied {
		t.Errorf("%d forged records were applied", b.table.applied-applied)
	}
	st := b.engine.Status(b.now())
	if st.Rejected[conntrack.RejectPeer] != 1 || st.Peers[0].Rejected[wire.RejectAuth] == 0 || st.Peers[0].State != conntrack.InSync {
		t.Errorf("%+v", st)
	}
}

func TestWrongKey(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	b.options.Keys = r.ring(secondKey)
	b.start()
	a.hold(vip1)
	a.churn(0, 100, vip1)
	r.net.Run(time.Second)
	if len(b.table.index) > 0 || a.state(1) != conntrack.Connecting || b.state(0) != conntrack.Connecting {
		t.Errorf("%d flows, %v, %v", len(b.table.index), a.state(1), b.state(0))
	}
	if b.peer(0).Rejected[wire.RejectKey] == 0 {
		t.Errorf("rejected: %v", b.peer(0).Rejected)
	}
}

// TestWithoutKey: hellos go, nothing else does, and none from beyond a router.
func TestWithoutKey(t *testing.T) {
	r := newRig(t, shape{keys: [][]byte{}})
	a, b := r.hosts[0], r.hosts[1]
	tap := &wiretap{host: b, from: 0}
	r.net.Attach(1, tap)
	a.hold(vip1)
	a.churn(0, 100, vip1)
	r.net.Run(time.Second)
	if b.hellos[a.addr] != "hello of 0" || a.hellos[b.addr] != "hello of 1" {
		t.Errorf("hellos are %v and %v", a.hellos, b.hellos)
	}
	if p := b.peer(0); len(b.table.index) > 0 || p.State != conntrack.Incompatible || p.Incompatible != "there is no sync key" {
		t.Errorf("%d flows, %+v", len(b.table.index), p)
	}
	if !a.engine.Status(a.now()).Bare {
		t.Error("flows are protected without a key")
	}
	if _, err := b.engine.Receive(b.now(), a.addr, 254, tap.all[0]); !errors.Is(err, conntrack.RejectTTL) {
		t.Errorf("%v with a hop limit of 254", err)
	}
	if err := a.engine.SetKeys(r.ring(firstKey)); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.SetKeys(r.ring(firstKey)); err != nil {
		t.Fatal(err)
	}
	r.settle(2 * time.Second)
	r.alike(a, vip1)

	// Once the keys are gone, nothing more is told in clear.
	r.net.Link(0, 1).Down = true
	a.churn(1000, 100, vip1)
	for _, h := range r.hosts {
		h.must(h.engine.SetKeys(r.ring()))
	}
	r.net.Link(0, 1).Down = false
	a.churn(2000, 100, vip1)
	r.net.Run(time.Second)
	if p := b.peer(0); p.Rejected[wire.RejectBody] > 0 || p.State != conntrack.Incompatible || a.peer(1).Backlog > 0 {
		t.Errorf("%+v", p)
	}
}

// TestKeyRotation: a new key is laid beside the old one on each host, then put first,
// then the old one goes. Nothing is resynced, and hardly anything is late.
func TestKeyRotation(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	next := 0
	set := func(h *host, keys ...[]byte) {
		h.must(h.engine.SetKeys(r.ring(keys...)))
		a.churn(next, 500, vip1)
		next += 500
	}
	set(a, firstKey, secondKey)
	set(b, firstKey, secondKey)
	set(a, secondKey, firstKey)
	set(b, secondKey, firstKey)
	set(a, secondKey)
	set(b, secondKey)
	r.settle(time.Second)
	r.alike(a, vip1)
	for _, p := range []conntrack.PeerStatus{a.peer(1), b.peer(0)} {
		if len(p.Resyncs) != 1 || len(p.Rejected) != 0 {
			t.Errorf("resyncs %v, rejected %v", p.Resyncs, p.Rejected)
		}
	}
	if lag := a.peer(1).Lag; lag.Max > 15*time.Millisecond {
		t.Errorf("lag is %+v", lag)
	}
}

func TestMTU(t *testing.T) {
	for _, mtus := range [][2]int{{1280, 1280}, {1500, 1500}, {9000, 9000}, {9000, 1280}} {
		r := newRig(t, shape{each: func(h *host) { h.mtu = mtus[h.id] }})
		a, b := r.hosts[0], r.hosts[1]
		a.fill(0, 10_000, vip1)
		b.fill(0, 10_000, vip2)
		a.hold(vip1)
		b.hold(vip2)
		r.settle(2 * time.Second)
		r.alike(a, vip1)
		r.alike(b, vip2)
		for i, h := range []*host{a, b} {
			const headers = 28 // IPv4 and UDP
			if size := h.largest + headers; size > mtus[i] || size < mtus[i]-40 {
				t.Errorf("MTU %d: the largest packet has %d bytes", mtus[i], size)
			}
		}
	}
}

func TestConfigHash(t *testing.T) {
	r := newRig(t, shape{each: func(h *host) { h.options.Config = uint64(h.id) }})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	a.churn(0, 100, vip1)
	r.settle(time.Second)
	r.alike(a, vip1) // flows are safe all the same
	if a.peer(1).SameConfig || b.peer(0).SameConfig {
		t.Error("different configurations were not noticed")
	}
	a.engine.SetConfig(a.now(), 1)
	a.step()
	r.net.Run(10 * time.Millisecond)
	if !a.peer(1).SameConfig || !b.peer(0).SameConfig {
		t.Error("a mended configuration was not noticed")
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		a, b [2]uint8
		want uint8 // 0: incompatible
		text string
	}{
		{[2]uint8{1, 1}, [2]uint8{1, 2}, 1, ""},
		{[2]uint8{1, 2}, [2]uint8{2, 3}, 2, ""},
		{[2]uint8{1, 1}, [2]uint8{2, 3}, 0, "the peer speaks versions 2-3 of state sync, this host 1-1"},
	} {
		r := newRig(t, shape{})
		a, b := r.hosts[0], r.hosts[1]
		a.engine.SetVersions(c.a[0], c.a[1])
		b.engine.SetVersions(c.b[0], c.b[1])
		a.hold(vip1)
		a.churn(0, 100, vip1)
		if c.want > 0 {
			r.settle(time.Second)
			r.alike(a, vip1)
		}
		r.net.Run(time.Second)
		p := a.peer(1)
		if p.Version != c.want || p.Incompatible != c.text || (p.State == conntrack.Incompatible) != (c.want == 0) {
			t.Errorf("%v and %v: version %d, %v %q", c.a, c.b, p.Version, p.State, p.Incompatible)
		}
		if b.hellos[a.addr] == "" {
			t.Errorf("%v and %v: no hello", c.a, c.b)
		}
	}
}
