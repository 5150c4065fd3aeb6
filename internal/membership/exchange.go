// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Carrier takes hellos to the peers and brings theirs.
type Carrier interface {
	// SetPeers replaces whom hellos go to and come from.
	SetPeers([]Neighbour)
	// Send sends a hello. It does not wait: where there is no room, it fails.
	Send(hello []byte, to netip.Addr) error
	// Run hands over what comes in until ctx is done; it returns nil when ctx ended
	// it. The payload is receive's own only until it returns.
	Run(ctx context.Context, receive func(Packet)) error
}

// Neighbour is a peer and the way to it.
type Neighbour struct {
	// Addr is the address that the peer is configured with.
	Addr netip.Addr
	// Via is the address that hellos go to and come from, where that is on another
	// network; the zero Addr where it is Addr.
	Via netip.Addr
	// Source is the address to send from, the one that the peer knows this host
	// by; the zero Addr leaves it to the kernel, which might take a VIP.
	Source netip.Addr
	// Interface is the index of the one to send through, which a link-local Addr
	// needs; 0 leaves it to the routes.
	Interface int
}

// Way is the address that hellos go to and come from.
func (n Neighbour) Way() netip.Addr {
	if n.Via.IsValid() {
		return n.Via
	}
	return n.Addr
}

// Exchange tells the peers of this host and reports what they tell.
//
// SetSelf and SetPeers leave a note for Run and return at once; of several notes
// the last one counts, so that nothing queues up.
type Exchange struct {
	carrier Carrier
	boot    uint64
	wake    chan struct{}

	// notes guards what callers leave for Run. It is held for moments only.
	notes struct {
		sync.Mutex
		self       Hello // State 0: there is nothing to say yet
		neighbours []Neighbour
		replaced   bool // the neighbours, since Run last looked
		cadence    cadence
	}

	// reporting is held through each step and its reports, so that these come one
	// by one and in order; it is taken before work.
	reporting sync.Mutex
	// work guards the table.
	work  sync.Mutex
	table *Table

	// sequence and buf are Run's.
	sequence uint64
	buf      []byte
}

// New returns an Exchange of the host with this boot id, which is random and not 0.
func New(boot uint64, carrier Carrier) *Exchange {
	return &Exchange{carrier: carrier, boot: boot, wake: make(chan struct{}, 1), table: NewTable(boot)}
}

// SetSelf sets what is said from now on; Boot and Sequence are filled in. What is
// new is sent at once and repeated, but for Left, which goes with the next beat.
// It never blocks. The error says what had to be left out, see Fit; all else is
// sent.
func (e *Exchange) SetSelf(h Hello) error {
	h.Boot, h.Sequence = e.boot, 0
	h, err := Fit(h)
	if bad := h.check(); bad != nil {
		return fmt.Errorf("set hello: %w", bad)
	}
	e.notes.Lock()
	if !h.sameButLeft(e.notes.self) {
		e.notes.cadence.news(time.Now())
		defer e.nudge()
	}
	e.notes.self = h
	e.notes.Unlock()
	return err
}

// SetPeers replaces the peers, which get a hello at once. It never blocks; what
// is known of a peer that is no longer named is forgotten, without a report.
func (e *Exchange) SetPeers(neighbours []Neighbour) {
	list := slices.Clone(neighbours)
	for i := range list {
		list[i].Addr = plain(list[i].Addr)
	}
	list = slices.DeleteFunc(list, func(n Neighbour) bool { return !unicast(n.Addr) })
	e.notes.Lock()
	e.notes.neighbours, e.notes.replaced = list, true
	e.notes.cadence.news(time.Now())
	e.notes.Unlock()
	e.carrier.SetPeers(list)
	e.nudge()
}

func (e *Exchange) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counts so far.
func (e *Exchange) Stats() Stats {
	e.work.Lock()
	defer e.work.Unlock()
	return e.table.Stats()
}

// Run talks to the peers until ctx is done. report is
// called for each change of a peer, from Run's goroutines but never from two at
// once; it may call the Exchange's methods. While it blocks, nothing is sent or
// received, and once ctx is done it must not. If the last word is Stopping, it is
// sent three times before Run returns, which takes 10 ms. Run returns nil when
// ctx ended it.
func (e *Exchange) Run(ctx context.Context, report func(Peer)) error {
	// The carrier outlives ctx until the goodbye is said.
	open, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		return e.carrier.Run(open, func(p Packet) { e.receive(p, report) })
	})
	group.Go(func() error {
		defer done()
		e.talk(inner, report)
		e.goodbye()
		return nil
	})
	return group.Wait()
}

// talk sends hellos and watches for silence.
func (e *Exchange) talk(ctx context.Context, report func(Peer)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(e.beat(report)))
	}
}

// beat does what is due and returns when the next thing is.
func (e *Exchange) beat(report func(Peer)) (next time.Time) {
	now := time.Now()
	e.notes.Lock()
	self, neighbours, replaced := e.notes.self, e.notes.neighbours, e.notes.replaced
	due := e.notes.cadence.due(now)
	if due {
		e.notes.cadence.sent(now)
	}
	e.notes.replaced = false
	next = e.notes.cadence.next
	e.notes.Unlock()

	e.step(report, func() []Peer {
		if replaced {
			addrs := make([]netip.Addr, len(neighbours))
			for i, n := range neighbours {
				addrs[i] = n.Addr
			}
			e.table.SetPeers(addrs)
		}
		return e.table.Tick(now)
	})
	if due && self.State != 0 {
		e.send(self, neighbours, report)
	}
	return next
}

// send sends a hello to everyone and books how it went.
func (e *Exchange) send(self Hello, neighbours []Neighbour, report func(Peer)) {
	b, err := e.encode(self)
	for _, n := range neighbours {
		failure := err
		if failure == nil {
			failure = e.carrier.Send(b, n.Addr)
		}
		e.step(report, func() []Peer { return one(e.table.Sent(n.Addr, failure)) })
	}
}

// goodbye says Stopping for the last time. It goes by no lock that a report might
// hold: nobody may be there any more to take one.
func (e *Exchange) goodbye() {
	e.notes.Lock()
	self, neighbours := e.notes.self, e.notes.neighbours
	e.notes.Unlock()
	if self.State != Stopping {
		return
	}
	for i := range repetitions {
		if i > 0 {
			time.Sleep(gap)
		}
		b, err := e.encode(self)
		for _, n := range neighbours {
			if err == nil {
				_ = e.carrier.Send(b, n.Addr) // there is no later to try again
			}
		}
	}
}

// encode numbers a hello. What it returns is good until it is called again.
func (e *Exchange) encode(self Hello) ([]byte, error) {
	e.sequence++
	self.Sequence = e.sequence
	b, err := self.AppendBinary(e.buf[:0])
	e.buf = b
	return b, err
}

func (e *Exchange) receive(p Packet, report func(Peer)) {
	now := time.Now()
	arrived := false
	e.step(report, func() []Peer {
		before, _ := e.table.Peer(p.From)
		after, changed, err := e.table.Receive(now, p)
		arrived = err == nil && (before.Silent || before.Hello.Boot != after.Hello.Boot)
		return one(after, changed)
	})
	if arrived {
		// It may know nothing of us yet.
		e.notes.Lock()
		e.notes.cadence.soon(now)
		e.notes.Unlock()
		e.nudge()
	}
}

// step changes the table and reports what came of it.
func (e *Exchange) step(report func(Peer), change func() []Peer) {
	e.reporting.Lock()
	defer e.reporting.Unlock()
	e.work.Lock()
	changed := change()
	e.work.Unlock()
	for _, p := range changed {
		report(p)
	}
}

func one(p Peer, changed bool) []Peer {
	if changed {
		return []Peer{p}
	}
	return nil
}
