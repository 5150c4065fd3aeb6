// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// rig is a table and the time, and a peer to be heard.
type rig struct {
	*testing.T
	table *Table
	now   time.Time
}

const ownBoot = 77

func newRig(t *testing.T, peers ...string) *rig {
	r := &rig{T: t, table: NewTable(ownBoot), now: time.Unix(1000, 0)}
	var addrs []netip.Addr
	for _, p := range peers {
		addrs = append(addrs, addr(p))
	}
	r.table.SetPeers(addrs)
	return r
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

// hear receives a hello, and holds the outcome to what is wanted; reason is empty
// for one that is accepted.
func (r *rig) hear(from string, h Hello, reason Reject, wantChanged bool) Peer {
	r.Helper()
	return r.packet(Packet{From: addr(from), Payload: encode(r, h)}, reason, wantChanged)
}

func (r *rig) packet(p Packet, reason Reject, wantChanged bool) Peer {
	r.Helper()
	before := r.table.Stats()
	peer, changed, err := r.table.Receive(r.now, p)
	after := r.table.Stats()
	if reason == "" {
		if err != nil || after.Accepted != before.Accepted+1 {
			r.Errorf("not accepted: %v", err)
		}
	} else if !errors.Is(err, reason) || after.Rejected[reason] != before.Rejected[reason]+1 || after.Accepted != before.Accepted {
		r.Errorf("%v, want %v, and counted", err, reason)
	}
	if changed != wantChanged {
		r.Errorf("changed: %v", changed)
	}
	return peer
}

// tick calls Tick every 100 ms for so long and returns who fell silent.
func (r *rig) tick(d time.Duration) []netip.Addr {
	var out []netip.Addr
	for end := r.now.Add(d); r.now.Before(end); {
		r.pass(interval)
		for _, p := range r.table.Tick(r.now) {
			out = append(out, p.Addr)
		}
	}
	return out
}

func numbered(boot, sequence uint64) Hello {
	h := sample()
	h.Boot, h.Sequence = boot, sequence
	return h
}

func TestReceiveOrder(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	const peer = "10.0.0.2"
	r.hear(peer, numbered(1, 5), "", true)
	r.hear(peer, numbered(1, 5), RejectOld, false) // repeated
	r.hear(peer, numbered(1, 4), RejectOld, false) // overtaken
	r.hear(peer, numbered(1, 6), "", false)        // nothing new
	more := numbered(1, 9)                         // two were lost
	more.Left++
	if p := r.hear(peer, more, "", true); p.Hello.Left != more.Left || !p.Heard.Equal(r.now) {
		t.Errorf("peer %+v", p)
	}
	r.hear(peer, numbered(2, 1), "", true)          // restarted
	r.hear(peer, numbered(1, 10), RejectOld, false) // of before
	r.hear(peer, numbered(2, 2), "", false)
}

// TestEarlierBoots: the last eight are remembered.
func TestEarlierBoots(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	for boot := range uint64(9) {
		r.hear("10.0.0.2", numbered(boot+1, 1), "", true)
	}
	for boot := range uint64(8) {
		r.hear("10.0.0.2", numbered(boot+1, 100), RejectOld, false)
	}
	r.hear("10.0.0.2", numbered(10, 1), "", true)
	r.hear("10.0.0.2", numbered(1, 100), "", true)
}

func TestEveryFieldIsNews(t *testing.T) {
	for name, change := range map[string]func(*Hello){
		"software":  func(h *Hello) { h.Software = "2" },
		"node":      func(h *Hello) { h.Node = "hab" },
		"boot":      func(h *Hello) { h.Boot++ },
		"state":     func(h *Hello) { h.State = Stopping },
		"reason":    func(h *Hello) { h.Reason = "" },
		"left":      func(h *Hello) { h.Left-- },
		"mac":       func(h *Hello) { h.MAC[5]++ },
		"addresses": func(h *Hello) { h.Addresses = h.Addresses[:1] },
		"services":  func(h *Hello) { h.Services = h.Services[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "10.0.0.2")
			r.hear("10.0.0.2", numbered(1, 1), "", true)
			h := numbered(1, 2)
			change(&h)
			r.hear("10.0.0.2", h, "", true)
		})
	}
}

func TestWhoIsHeard(t *testing.T) {
	r := newRig(t, "10.0.0.2", "::ffff:10.0.0.3", "fe80::4%eth0")
	b := encode(t, numbered(1, 1))
	r.packet(Packet{From: addr("10.0.0.9"), Payload: b}, RejectPeer, false)
	r.packet(Packet{Payload: b}, RejectPeer, false)
	r.packet(Packet{From: addr("10.0.0.2"), Payload: b[:20]}, RejectTruncated, false)
	r.hear("10.0.0.2", numbered(ownBoot, 1), RejectOwn, false)
	for _, p := range r.table.Peers() {
		if !p.Silent || !p.Heard.IsZero() || p.Hello.Boot != 0 {
			t.Errorf("believed: %+v", p)
		}
	}
	r.hear("10.0.0.2", numbered(1, 1), "", true)
	r.hear("10.0.0.3", numbered(1, 1), "", true)
	r.hear("fe80::4", numbered(1, 1), "", true)
	r.hear("fe80::4%2", numbered(1, 2), "", false)
}

func TestSilence(t *testing.T) {
	r := newRig(t, "10.0.0.2", "10.0.0.3")
	r.tick(3 * time.Second)
	r.hear("10.0.0.2", numbered(1, 1), "", true)
	if silent := r.tick(900 * time.Millisecond); silent != nil {
		t.Fatalf("%v silent after 0.9 s", silent)
	}
	// One that was never heard has never fallen silent.
	if silent := r.tick(time.Minute); !slices.Equal(silent, []netip.Addr{addr("10.0.0.2")}) {
		t.Fatalf("%v fell silent", silent)
	}
	p, _ := r.table.Peer(addr("10.0.0.2"))
	if !p.Silent || p.Hello.Node != "haa" {
		t.Errorf("what it said last is gone: %+v", p)
	}
	if p := r.hear("10.0.0.2", numbered(1, 2), "", true); p.Silent {
		t.Error("heard, and silent all the same")
	}
}

// TestPausedHostAccusesNobody: a host that stood still gives its peers a second
// from when it goes on.
func TestPausedHostAccusesNobody(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	r.tick(interval)
	r.hear("10.0.0.2", numbered(1, 1), "", true)
	r.pass(5 * time.Second)
	if silent := r.table.Tick(r.now); silent != nil {
		t.Fatalf("%v silent at once", silent)
	}
	if silent := r.tick(900 * time.Millisecond); silent != nil {
		t.Fatalf("%v silent too early", silent)
	}
	if silent := r.tick(interval); len(silent) != 1 {
		t.Error("never silent")
	}
}

func TestSetPeers(t *testing.T) {
	r := newRig(t, "10.0.0.3", "10.0.0.2")
	r.hear("10.0.0.2", numbered(1, 1), "", true)
	r.hear("10.0.0.3", numbered(1, 1), "", true)
	r.table.SetPeers([]netip.Addr{addr("10.0.0.4"), addr("10.0.0.2"), {}})
	peers := r.table.Peers()
	if len(peers) != 2 || peers[0].Hello.Node != "haa" || peers[1].Addr != addr("10.0.0.4") || !peers[1].Silent {
		t.Errorf("peers %+v", peers)
	}
	r.hear("10.0.0.3", numbered(1, 2), RejectPeer, false)
}

func TestPeerHasItsAddresses(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	h := numbered(1, 1)
	h.Addresses = []netip.Addr{addr("10.0.0.2"), addr("fe80::2")}
	p := r.hear("10.0.0.2", h, "", true)
	for a, want := range map[string]bool{
		"10.0.0.2": true, "fe80::2%eth0": true, "::ffff:10.0.0.2": true, "10.0.0.3": false, "fe80::3": false,
	} {
		if p.Has(addr(a)) != want {
			t.Errorf("%s is the peer's: %v", a, !want)
		}
	}
	if p.Has(netip.Addr{}) {
		t.Error("no address is the peer's")
	}
}

func TestIncompatiblePeer(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	other := Packet{From: addr("10.0.0.2"), Payload: unhex(t, "68616650 02 05 322e302e31 ffff")}
	p := r.packet(other, RejectVersion, true)
	if p.Incompatible == "" || !p.Silent {
		t.Errorf("peer %+v", p)
	}
	r.packet(other, RejectVersion, false)
	if p := r.hear("10.0.0.2", numbered(1, 1), "", true); p.Incompatible != "" {
		t.Errorf("still incompatible: %s", p.Incompatible)
	}
}

func TestSent(t *testing.T) {
	r := newRig(t, "10.0.0.2")
	failure := errors.New("network is unreachable")
	for _, step := range []struct {
		err     error
		changed bool
	}{{nil, false}, {failure, true}, {failure, false}, {nil, true}} {
		p, changed := r.table.Sent(addr("10.0.0.2"), step.err)
		if changed != step.changed || (p.Unsent != "") != (step.err != nil) {
			t.Errorf("%v: %q, changed %v", step.err, p.Unsent, changed)
		}
	}
	if _, changed := r.table.Sent(addr("10.0.0.9"), failure); changed {
		t.Error("somebody who is no peer has changed")
	}
	if s := r.table.Stats(); s.Sent != 2 || s.Unsent != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestStatsKnowEveryReason(t *testing.T) {
	s := NewTable(1).Stats()
	for _, reason := range Rejects() {
		if n, ok := s.Rejected[reason]; !ok || n != 0 {
			t.Errorf("%s: %d %v", reason, n, ok)
		}
	}
	s.Rejected[RejectPeer] = 9
	if NewTable(1).Stats().Rejected[RejectPeer] != 0 {
		t.Error("stats are shared")
	}
}
