// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"fmt"
	"net/netip"
	"time"

	"hafast/pkg/conntrack/wire"
)

const (
	// greetEvery is the time between greetings, and greetSoon that while the session is
	// not complete: they may be lost.
	greetEvery = time.Second
	greetSoon  = 100 * time.Millisecond
	// answerSpacing is the least time between answers to datagrams that are not
	// addressed to this start of this host.
	answerSpacing = 5 * time.Millisecond
	// silentAfter is how long a peer may say nothing and still be there.
	silentAfter = 3 * time.Second
)

// session is all there is between this host and one address of a peer. Times are
// counted from the engine's start.
type session struct {
	e       *Engine
	addr    netip.Addr
	maxBody int
	opener  *wire.Opener

	boot    uint64 // of the peer; 0: it has never been heard
	heard   time.Duration
	greeted bool // theirs is of this boot
	theirs  wire.Greeting
	met     bool // a start of the peer has been greeted before
	// version is what is sent in; 0: there is none that both understand.
	version uint8

	greetAt  time.Duration
	helloDue bool
	answerTo uint64 // boot that is to be answered; 0: none
	answered time.Duration

	out *outgoing
	in  *incoming
	figures
}

func newSession(e *Engine, addr netip.Addr, mtu int) *session {
	s := &session{e: e, addr: addr, opener: wire.NewOpener(e.ring, e.sealer.Boot())}
	s.greetAt = e.now
	s.maxBody = wire.MaxBody(mtu, addr.Is6())
	s.out = newOutgoing(e, wire.MaxGroups(mtu, addr.Is6()))
	s.in = newIncoming(s)
	s.figures.rejected = map[wire.Reject]uint64{}
	return s
}

// resize is for a path of another MTU.
func (s *session) resize(mtu int) {
	s.maxBody = wire.MaxBody(mtu, s.addr.Is6())
	s.out.resize(wire.MaxGroups(mtu, s.addr.Is6()))
}

// close is for a peer that is no longer named.
func (s *session) close() {
	s.greeted, s.met, s.version = false, false, 0
	s.out.shut()
	s.in.close()
}

// reopen is for a peer that is named again. It is told everything, in the next epoch.
func (s *session) reopen() {
	s.opener.Rekey(s.e.ring)
	s.greetAt, s.answerTo = s.e.now, 0
}

// there reports whether the peer has been heard of late.
func (s *session) there(now time.Duration) bool {
	return s.boot != 0 && now-max(s.heard, s.e.awake) < silentAfter
}

// receive takes in a datagram that is authentic. hello is what it says of its sender,
// nil if it does not.
func (s *session) receive(now time.Duration, o wire.Opened) (hello []byte) {
	if !o.Ours {
		s.answerTo = o.Boot
		return nil
	}
	if o.Boot != s.boot {
		s.restart(now, o.Boot)
	}
	s.heard = now
	for parts := o.Parts; ; {
		p, ok := parts.Next()
		if !ok {
			break
		}
		if p.Type == wire.PartHello {
			hello = p.Content
		}
		if err := s.part(now, p); err != nil {
			s.rejected[wire.RejectBody]++
		}
	}
	s.in.apply()
	return hello
}

// restart is for a peer that is heard for the first time since it has started.
func (s *session) restart(now time.Duration, boot uint64) {
	s.boot, s.greeted, s.version = boot, false, 0
	s.greetAt = now
	s.in.restart()
	s.out.shut()
}

func (s *session) part(now time.Duration, p wire.Part) error {
	switch p.Type {
	case wire.PartHello:
	case wire.PartGreeting:
		g, err := wire.DecodeGreeting(p.Content)
		if err != nil {
			return err
		}
		s.greet(now, g)
	case wire.PartBatch, wire.PartTip, wire.PartAck:
		return s.streamPart(now, p)
	default:
		s.unknownParts++
	}
	return nil
}

// streamPart takes in a part of the streams. Before the peer's greeting it is not clear
// what they are about; they come again.
func (s *session) streamPart(now time.Duration, p wire.Part) error {
	switch {
	case s.version == 0:
	case p.Type == wire.PartBatch:
		return s.in.batch(now, p.Content)
	case p.Type == wire.PartTip:
		return s.in.tip(now, p.Content)
	default:
		if err := wire.DecodeAck(p.Content, &s.e.ack); err != nil {
			return err
		}
		s.out.ack(now, s.e.ack)
	}
	return nil
}

// greet takes in what the peer can do and wants.
func (s *session) greet(now time.Duration, g wire.Greeting) {
	first := !s.greeted
	s.theirs, s.greeted = g, true
	version, ok := s.e.greeting.Agree(g)
	if !ok || !s.e.sealer.Sealed() {
		s.version = 0
		s.out.shut()
		return
	}
	again := s.version == 0
	s.version = version
	has := func(t wire.Table) bool { return s.e.greeting.Has(t) && g.Has(t) }
	changed := s.out.choose(has)
	if first || changed || again {
		s.in.choose(has)
	}
	switch {
	case first && !s.met:
		s.met = true
		s.out.renew(now, ReasonStart)
	case first:
		s.out.renew(now, ReasonRestart)
	case changed || again:
		s.out.renew(now, ReasonChanged)
	case g.Want > s.out.sender.Epoch() && s.out.phase == telling:
		s.out.renew(now, ReasonAsked)
	}
}

// step does what is due.
func (s *session) step(now time.Duration) {
	s.out.expire(now)
	if s.version != 0 {
		s.in.step(now)
		s.out.step(now, s.there(now))
	}
}

// deadline adds when step is due, or something is to be sent.
func (s *session) deadline(now time.Duration, at *earliest) {
	there := s.there(now)
	at.add(s.greetAt)
	s.out.expiry(at)
	if s.answerTo != 0 {
		at.add(s.answered + answerSpacing)
	}
	if s.helloDue {
		at.add(now)
	}
	if there {
		at.add(max(s.heard, s.e.awake) + silentAfter)
	}
	if s.version != 0 {
		s.in.deadline(now, at)
		s.out.deadline(at, there)
	}
}

// complete reports whether each side has told the other all that it has.
func (s *session) complete() bool { return s.out.covered && s.in.inSync() }

// incompatible says why two hosts have no version in common.
func incompatible(own, theirs wire.Greeting) string {
	return fmt.Sprintf("the peer speaks versions %d-%d of state sync, this host %d-%d",
		theirs.Lowest, theirs.Highest, own.Lowest, own.Highest)
}
