// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Slots is where replies are found, by a peer's slot: the map that the XDP program
// writes to. Its methods are called from the prober's thread and neither block nor
// allocate. Times are since the zero of CLOCK_MONOTONIC.
type Slots interface {
	// SetSent lets the program know the last sequence number, before the probe
	// leaves.
	SetSent(slot int, seq uint32)
	// Reply is the last reply: which probe it answers, the state in it, when it
	// came, and how many there have been. 0 stands for none.
	Reply(slot int) (seq uint32, state uint8, at time.Duration, n uint64)
}

// WitnessCounter counts the ARP replies of the witness. It is called from the
// prober's thread, and neither blocks nor allocates.
type WitnessCounter interface {
	WitnessReplies() uint64
}

// Event is a change of a peer's state.
//
// From and To are both Down where the evidence was not enough to Trust when the
// last peer went Down, and is now.
type Event struct {
	Peer     Peer
	From, To State
	At       time.Time
	Run      int // of misses that led to it
	Evidence Evidence
}

// Config is what a Prober needs.
type Config struct {
	Slots   Slots
	Witness WitnessCounter // nil: its replies are not counted, and it never answers
	Timing  Timing

	// Frames counts the frames that this host has received. It is called when all
	// peers have gone quiet and when one goes Down, from the goroutine that
	// reports, and may take a system call. nil: they are not counted.
	Frames func() uint64
	// Report is called for each event, from one goroutine. What comes while it
	// takes its time is kept, 64 notices of it; beyond that the last state of each
	// peer wins.
	Report func(Event)
}

// Prober watches peers from a thread of its own.
//
// Its methods may be called from any goroutine, before, during and after Run, but
// for Close, which comes last.
type Prober struct {
	slots   Slots
	witness WitnessCounter
	frames  func() uint64
	report  func(Event)

	clock   *clock
	sockets *sockets
	packet  int // packet socket, or -1
	noARP   error
	mail    *mailbox

	mu   sync.Mutex // those who change the plan; the thread never takes it
	plan atomic.Pointer[plan]
	ran  atomic.Bool
	stop atomic.Bool // for the thread

	scheduling atomic.Pointer[scheduled]
	board      board
}

type scheduled struct {
	class Scheduling
	err   error
}

// New opens the sockets, in the calling thread's network namespace. Nothing is
// sent before Run.
func New(cfg Config) (_ *Prober, err error) {
	if err := cfg.Timing.Check(); err != nil {
		return nil, err
	}
	p := &Prober{slots: cfg.Slots, witness: cfg.Witness, frames: cfg.Frames, report: cfg.Report, packet: -1}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if p.frames == nil {
		p.frames = func() uint64 { return 0 }
	}
	if p.clock, err = newClock(); err != nil {
		return nil, err
	}
	if p.sockets, err = openSockets(); err != nil {
		return nil, err
	}
	if p.mail, err = newMailbox(); err != nil {
		return nil, err
	}
	p.packet, p.noARP = openPacket()
	p.plan.Store(&plan{timing: cfg.Timing})
	return p, nil
}

// Close closes the sockets. It must not be called while Run runs.
func (p *Prober) Close() error {
	if p.sockets != nil {
		p.sockets.close()
	}
	if p.mail != nil {
		p.mail.close()
	}
	if p.packet >= 0 {
		unix.Close(p.packet)
	}
	return nil
}

// Port is the UDP port that probes leave from, over IPv4 and IPv6 alike. It is
// never 7784.
func (p *Prober) Port() uint16 { return p.sockets.port }

// Set replaces the peers. Those that are the same as before keep their sessions;
// no event tells of those that went. The error is for peers that cannot be probed,
// and leaves all as it was. The thread follows within 20 ms.
func (p *Prober) Set(peers []Peer) error {
	if err := checkPeers(peers); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.plan.Load()
	next := *old
	next.members = make([]*member, 0, len(peers))
	for _, peer := range peers {
		m := old.find(peer)
		if m == nil {
			var err error
			if m, err = newMember(peer, p.sockets); err != nil {
				return err
			}
		}
		next.members = append(next.members, m)
	}
	p.plan.Store(&next)
	return nil
}

// SetTiming changes how often all peers are probed. Sessions go on.
func (p *Prober) SetTiming(t Timing) error {
	if err := t.Check(); err != nil {
		return err
	}
	p.change(func(next *plan) { next.timing = t })
	return nil
}

// change replaces the plan by a copy that is changed: the thread may still go by the old one.
func (p *Prober) change(edit func(next *plan)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := *p.plan.Load()
	edit(&next)
	p.plan.Store(&next)
}

// SetWitness says who is asked when all peers are silent; the zero Witness stands
// for nobody.
func (p *Prober) SetWitness(w Witness) error {
	var q *question
	if w.Address.IsValid() {
		if p.noARP != nil {
			return fmt.Errorf("ask a witness: %w", p.noARP)
		}
		var err error
		if q, err = newQuestion(w); err != nil {
			return err
		}
	}
	p.change(func(next *plan) { next.question = q })
	return nil
}

// Suspend takes note that a peer has said goodbye: its silence means nothing until
// Resume. It may be repeated, and does nothing for a peer that is not there.
func (p *Prober) Suspend(peer Peer) { p.expect(peer, false) }

// Resume expects a peer to be there again. It may be repeated.
func (p *Prober) Resume(peer Peer) { p.expect(peer, true) }

func (p *Prober) expect(peer Peer, expected bool) {
	if m := p.plan.Load().find(peer); m != nil {
		m.expected.Store(expected)
	}
}

func (p *plan) find(peer Peer) *member {
	for _, m := range p.members {
		if m.peer == peer {
			return m
		}
	}
	return nil
}

// ErrRan is returned for a Prober that has run before.
var ErrRan = errors.New("a prober runs once")

// Run probes until the context is done. Once it has returned, Report is not called
// any more. A Prober runs once.
func (p *Prober) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return ErrRan
	}
	var prober, reporter sync.WaitGroup
	prober.Go((&thread{p: p, now: p.clock.now, plan: &plan{}}).run)
	reporter.Go(p.deliver)
	<-ctx.Done()
	p.stop.Store(true)
	prober.Wait()
	p.mail.end()
	reporter.Wait()
	return nil
}

// deliver reports what the thread leaves in the mailbox.
func (p *Prober) deliver() {
	d := delivery{p: p}
	for open := true; open; {
		open = p.mail.wait()
		for n, ok := p.mail.take(); ok; n, ok = p.mail.take() {
			d.handle(n)
		}
		if p.mail.overflow.Swap(false) {
			d.catchUp()
		}
	}
}
