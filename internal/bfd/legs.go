// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// legSize is the payload of a leg's probe, in bytes: as large as every path carries
// without a fragment (RFC 8200 section 5: 1,280 bytes with both headers).
const legSize = 1280 - 40 - 8

// LegSlots is where legs are found, by a peer's slot: the map that the XDP program writes
// to.
type LegSlots interface {
	// SetSent lets the program know the last sequence number, before the probe leaves.
	SetSent(slot int, seq uint32)
	// Returned is the sequence number of the probe that came back last.
	Returned(slot int) uint32
	// Forwarded is how many of the peer's own probes this host has sent back.
	Forwarded(slot int) uint64
}

// LegEvent is what is known now of the ways between this host and a peer.
type LegEvent struct {
	Peer Peer
	// State is of the leg from the peer to this host.
	State LegState
	// Forwards: probes of the peer arrive here, and are sent back.
	Forwards bool
}

// Legs probes the legs from all peers, at a leisurely pace, from one goroutine.
type Legs struct {
	slots         LegSlots
	discriminator uint32
	sockets       *sockets
	now           func() time.Duration

	mu   sync.Mutex
	legs []*probedLeg
}

// NewLegs opens the sockets, in the calling thread's network namespace. What is asked for
// is the sum of a host's Discriminator and of the one given. The error is for a host
// without UDP.
func NewLegs(slots LegSlots, discriminator uint32) (*Legs, error) {
	l := &Legs{slots: slots, discriminator: discriminator}
	clock, err := newClock()
	if err != nil {
		return nil, err
	}
	l.now = clock.now
	if l.sockets, err = openSockets(); err != nil {
		return nil, err
	}
	if l.sockets.v4 >= 0 {
		// As clients send: with a checksum, if need be one that the network card fills in.
		if err := unix.SetsockoptInt(l.sockets.v4, unix.SOL_SOCKET, unix.SO_NO_CHECK, 0); err != nil {
			l.Close()
			return nil, fmt.Errorf("have leg probes carry a checksum: %w", err)
		}
	}
	return l, nil
}

// Close closes the sockets. It must not be called while Run runs.
func (l *Legs) Close() { l.sockets.close() }

// Set replaces the peers. The legs of those that are the same as before go on. The error is
// for peers that cannot be probed, and leaves all as it was.
func (l *Legs) Set(peers []Peer) error {
	if err := checkPeers(peers); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make([]*probedLeg, 0, len(peers))
	for _, p := range peers {
		leg := l.find(p)
		if leg == nil {
			var err error
			if leg, err = l.begin(p); err != nil {
				return err
			}
		}
		next = append(next, leg)
	}
	l.legs = next // a new list: Run may still go through the old one
	return nil
}

// Restart judges the leg from a peer anew: its daemon has been started, and what was lost
// before that says nothing of it. It does nothing for a peer that is not there.
func (l *Legs) Restart(peer Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if leg := l.find(peer); leg != nil {
		leg.restart.Store(true)
	}
}

// find returns the leg from a peer, nil if there is none. The caller holds mu.
func (l *Legs) find(peer Peer) *probedLeg {
	for _, leg := range l.legs {
		if leg.peer == peer {
			return leg
		}
	}
	return nil
}

func (l *Legs) begin(p Peer) (*probedLeg, error) {
	e, err := newEnvelope(l.sockets, p)
	if err != nil {
		return nil, err
	}
	leg := &probedLeg{peer: p, envelope: e, reported: LegEvent{Peer: p}, forwarded: l.slots.Forwarded(p.Slot)}
	leg.seq = rand.Uint32()
	e.carry(leg.buffer[:])
	return leg, nil
}

// probedLeg is a leg with what it is probed by. All but restart is Run's own once it is in
// the list.
type probedLeg struct {
	Leg
	peer     Peer
	envelope *envelope
	buffer   [legSize]byte

	forwarded uint64 // when it was looked at last
	seen      time.Duration
	reported  LegEvent

	restart atomic.Bool // it is to be judged anew
}

// forwardsFor is how long after the last probe of a peer's it counts as arriving here.
const forwardsFor = time.Second

// Run probes until ctx is done, and reports what changes, from its own goroutine.
func (l *Legs) Run(ctx context.Context, report func(LegEvent)) error {
	tick := time.NewTicker(LegInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.mu.Lock()
		legs := l.legs
		l.mu.Unlock()
		for _, leg := range legs {
			if ev, changed := l.step(leg); changed {
				report(ev)
			}
		}
	}
}

// step judges a leg, sends its next probe, and reports what is new.
func (l *Legs) step(leg *probedLeg) (ev LegEvent, changed bool) {
	if leg.restart.Swap(false) {
		leg.Leg = Leg{seq: leg.seq}
	}
	now := l.now()
	seq, send := leg.Step(now, l.slots.Returned(leg.peer.Slot))
	if send {
		l.slots.SetSent(leg.peer.Slot, seq)
		Packet{
			State: WireDown, Demand: true, Multiplier: 1, My: seq,
			Your: Discriminator(leg.peer.Addr) + l.discriminator, DesiredMinTx: LegInterval,
		}.Append(leg.buffer[:0])
		if errno := leg.envelope.send(); errno != 0 {
			leg.Unsent()
		}
	}
	if n := l.slots.Forwarded(leg.peer.Slot); n != leg.forwarded {
		leg.forwarded, leg.seen = n, now
	}
	ev = LegEvent{Peer: leg.peer, State: leg.State(), Forwards: leg.seen != 0 && now-leg.seen < forwardsFor}
	changed = ev != leg.reported
	leg.reported = ev
	return ev, changed
}
