// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// SilentAfter is how long after its last hello a peer is silent.
	SilentAfter = time.Second
	// pauseAfter is how much time between two Ticks says that this host stood
	// still: what its peers sent meanwhile may still lie in the socket.
	pauseAfter = 300 * time.Millisecond
)

// Packet is a hello as the carrier has it.
type Packet struct {
	// From is the peer that it came from, by the address it is configured with.
	From    netip.Addr
	Payload []byte
}

// Peer is what is known of a configured peer.
type Peer struct {
	// Addr is the configured one.
	Addr netip.Addr
	// Heard is when the last hello came; the zero Time means never, and Hello is
	// empty then.
	Heard time.Time
	Hello Hello
	// Silent: no hello for SilentAfter, or none yet. Hello is what it said last.
	Silent bool
	// Incompatible says that the peer sends hellos of another protocol version,
	// and which; empty if it does not.
	Incompatible string
	// Unsent says why the last hello to it could not be sent; empty if it was.
	Unsent string
}

// Has reports whether an address is one of the peer's own.
func (p Peer) Has(addr netip.Addr) bool {
	addr = plain(addr)
	return p.Addr == addr || slices.Contains(p.Hello.Addresses, addr)
}

// Stats counts packets.
type Stats struct {
	// Sent hellos, one for each peer, and those that could not be.
	Sent, Unsent uint64
	// Accepted hellos, and packets rejected by reason.
	Accepted uint64
	Rejected map[Reject]uint64
}

// Table knows the peers. It is stepped: time goes in with packets, and what has
// changed comes out. It is not safe for concurrent use.
type Table struct {
	boot  uint64
	peers map[netip.Addr]*record
	stats Stats
	// ticked is when Tick was last called; silence counts from awake on.
	ticked, awake time.Time
}

// record is a Peer and what is remembered to judge its hellos by.
type record struct {
	Peer
	// retired are earlier boots: hellos of theirs have been under way for too long.
	retired [8]uint64
	oldest  int
}

// NewTable returns a table without peers, of the host with this boot id.
func NewTable(boot uint64) *Table {
	t := &Table{boot: boot, peers: map[netip.Addr]*record{}, stats: Stats{Rejected: map[Reject]uint64{}}}
	for _, r := range Rejects() {
		t.stats.Rejected[r] = 0
	}
	return t
}

// SetPeers replaces the peers. What is known of those that stay is kept, the
// others are forgotten.
func (t *Table) SetPeers(addrs []netip.Addr) {
	peers := map[netip.Addr]*record{}
	for _, a := range addrs {
		a = plain(a)
		if r := t.peers[a]; r != nil {
			peers[a] = r
		} else if a.IsValid() {
			peers[a] = &record{Peer: Peer{Addr: a, Silent: true}}
		}
	}
	t.peers = peers
}

// Receive judges a packet. changed says that something is new of the peer beyond
// the time of its hello. The error is a Reject, or wraps one; it may come with a
// change, see Peer.Incompatible. The payload is not kept.
func (t *Table) Receive(now time.Time, p Packet) (peer Peer, changed bool, err error) {
	peer, changed, err = t.receive(now, p)
	var reason Reject
	if errors.As(err, &reason) {
		t.stats.Rejected[reason]++
	} else {
		t.stats.Accepted++
	}
	return peer, changed, err
}

func (t *Table) receive(now time.Time, p Packet) (Peer, bool, error) {
	r := t.peers[plain(p.From)]
	if r == nil {
		return Peer{}, false, RejectPeer
	}
	h, err := Decode(p.Payload)
	var version *VersionError
	switch {
	case errors.As(err, &version):
		changed := r.Incompatible != version.Error()
		r.Incompatible = version.Error()
		return r.Peer, changed, err
	case err != nil:
		return r.Peer, false, err
	case h.Boot == t.boot:
		return r.Peer, false, RejectOwn
	case slices.Contains(r.retired[:], h.Boot), h.Boot == r.Hello.Boot && h.Sequence <= r.Hello.Sequence:
		return r.Peer, false, RejectOld
	}
	if h.Boot != r.Hello.Boot {
		r.retired[r.oldest] = r.Hello.Boot
		r.oldest = (r.oldest + 1) % len(r.retired)
	}
	changed := r.Silent || r.Incompatible != "" || !h.same(r.Hello)
	r.Hello, r.Heard, r.Silent, r.Incompatible = h, now, false, ""
	return r.Peer, changed, nil
}

// Tick finds the peers that have fallen silent since it was last called. It is to
// be called every 100 ms or so. If it was not, this host stood still, and silence
// counts anew from now: a host that was itself paused must not accuse its peers.
func (t *Table) Tick(now time.Time) []Peer {
	if t.ticked.IsZero() || now.Sub(t.ticked) > pauseAfter {
		t.awake = now
	}
	t.ticked = now
	var out []Peer
	for _, r := range t.sorted() {
		since := r.Heard
		if t.awake.After(since) {
			since = t.awake
		}
		if !r.Silent && now.Sub(since) >= SilentAfter {
			r.Silent = true
			out = append(out, r.Peer)
		}
	}
	return out
}

// Sent books that a hello was sent to a peer, or why not. changed says that
// Peer.Unsent is new.
func (t *Table) Sent(to netip.Addr, failure error) (peer Peer, changed bool) {
	text := ""
	if failure == nil {
		t.stats.Sent++
	} else {
		t.stats.Unsent++
		text = failure.Error()
	}
	r := t.peers[plain(to)]
	if r == nil {
		return Peer{}, false
	}
	changed = r.Unsent != text
	r.Unsent = text
	return r.Peer, changed
}

// Peer returns the peer that is configured with the address.
func (t *Table) Peer(addr netip.Addr) (Peer, bool) {
	r := t.peers[plain(addr)]
	if r == nil {
		return Peer{}, false
	}
	return r.Peer, true
}

// Peers are all of them, by address.
func (t *Table) Peers() []Peer {
	var out []Peer
	for _, r := range t.sorted() {
		out = append(out, r.Peer)
	}
	return out
}

func (t *Table) sorted() []*record {
	return slices.SortedFunc(maps.Values(t.peers), func(a, b *record) int { return a.Addr.Compare(b.Addr) })
}

// Stats returns the counts so far. Rejected has an entry for every reason.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Rejected = maps.Clone(s.Rejected)
	return s
}
