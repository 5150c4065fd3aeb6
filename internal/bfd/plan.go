// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// MaxPeers is how many peers can be probed: the size of the reply map.
const MaxPeers = 16

// Peer is whom to probe.
type Peer struct {
	Addr   netip.Addr
	Slot   int        // its place in the reply map, below MaxPeers
	Source netip.Addr // own address that probes leave from; the zero Addr lets the kernel choose
	// Interface is the index of the one that probes leave by; 0 lets the routes choose. A
	// link-local address means nothing without it.
	Interface int
}

// ErrPeers is what a set of peers that cannot be probed is refused with.
var ErrPeers = errors.New("peers cannot be probed")

// checkPeers refuses what the thread could not handle.
func checkPeers(peers []Peer) error {
	if len(peers) > MaxPeers {
		return fmt.Errorf("%w: %d of them, at most %d are possible", ErrPeers, len(peers), MaxPeers)
	}
	for i, p := range peers {
		if !p.Addr.IsValid() {
			return fmt.Errorf("%w: peer %d has no address", ErrPeers, i)
		}
		if p.Addr.Zone() != "" {
			return fmt.Errorf("%w: %s has a zone, which Interface is for", ErrPeers, p.Addr)
		}
		if p.Slot < 0 || p.Slot >= MaxPeers {
			return fmt.Errorf("%w: slot %d of %s is not below %d", ErrPeers, p.Slot, p.Addr, MaxPeers)
		}
		if slices.ContainsFunc(peers[:i], func(q Peer) bool { return q.Addr == p.Addr || q.Slot == p.Slot }) {
			return fmt.Errorf("%w: %s, or its slot %d, is there twice", ErrPeers, p.Addr, p.Slot)
		}
	}
	return nil
}

// Check reports whether the pace can be kept.
func (t Timing) Check() error {
	if t.Interval < 100*time.Microsecond || t.Multiplier < 1 || t.Multiplier > 255 {
		return fmt.Errorf("probing every %s, %d times: the interval must be at least 100µs, the multiplier 1 to 255",
			t.Interval, t.Multiplier)
	}
	return nil
}

// plan is what the thread works by. A new one replaces it as a whole; the members
// that stay are the same ones, and only the thread touches their sessions.
type plan struct {
	timing   Timing
	members  []*member
	question *question // nil: no witness
}

// member is a peer with its session.
type member struct {
	peer          Peer
	discriminator uint32
	envelope      *envelope

	// expected is the daemon's word: false while the peer has said goodbye.
	expected atomic.Bool
	// current is the session's last change, for whoever missed its notice.
	current atomic.Uint64

	// The thread's own.
	session *Session
	started bool   // the thread has taken it up
	seq     uint32 // where its numbers start
	told    bool   // what expected was when the thread looked last
	pending Transition
	moved   bool       // pending is to be told
	errno   unix.Errno // why a probe was not sent, last

	// The reporting goroutine's own.
	reported State
}

func newMember(p Peer, s *sockets) (*member, error) {
	e, err := newEnvelope(s, p)
	if err != nil {
		return nil, err
	}
	m := &member{
		peer: p, discriminator: Discriminator(p.Addr), envelope: e,
		session: &Session{}, seq: rand.Uint32(), told: true,
	}
	m.expected.Store(true)
	return m, nil
}

// packet is a probe to the peer. RFC 7880 section 7.3: the initiator is in demand
// mode, asks for no packets of the peer's own, and says Up or Down as it sees
// the peer.
func (m *member) packet(t Timing, seq uint32) Packet {
	state := WireDown
	if m.session.State().live() {
		state = WireUp
	}
	return Packet{
		State: state, Demand: true, Multiplier: uint8(t.Multiplier),
		My: seq, Your: m.discriminator,
		DesiredMinTx: t.Interval,
	}
}
