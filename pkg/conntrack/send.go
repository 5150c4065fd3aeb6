// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"net/netip"
	"time"

	"hafast/pkg/conntrack/wire"
)

// send puts out all that is due to the peer.
func (s *session) send(now time.Duration, out func(to netip.Addr, datagram []byte)) {
	if s.answerTo != 0 && now-s.answered >= answerSpacing {
		s.emit(s.greeting(s.e.begin(s.answerTo)), out)
		s.answerTo, s.answered = 0, now
	}
	if s.helloDue || now >= s.greetAt {
		s.sendGreeting(now, out)
	}
	if s.version == 0 {
		return
	}
	s.sendBatches(now, out)
	s.sendControl(now, out)
}

// sendGreeting sends what this host says of itself, and how far its stream is: so a
// peer learns of a new epoch before its first batch.
func (s *session) sendGreeting(now time.Duration, out func(netip.Addr, []byte)) {
	to := s.opener.To()
	b := s.greeting(s.e.begin(to))
	if s.out.phase != idle {
		tip, _ := s.out.sender.Tip()
		b = wire.AppendTip(b, tip)
	}
	s.emit(b, out)
	s.helloDue = false
	s.greetAt = now + greetEvery
	if !s.complete() {
		s.greetAt = now + greetSoon
	}
}

// greeting appends a hello, if there is one, and a greeting.
func (s *session) greeting(b []byte) []byte {
	if len(s.e.hello) > 0 {
		b, _ = wire.AppendPart(b, wire.PartHello, s.e.hello) // SetHello has looked at its size
	}
	g := s.e.greeting
	g.Want = s.in.want
	return wire.AppendGreeting(b, g)
}

// sendBatches sends what the stream has ready, with an ack where one is due and fits.
func (s *session) sendBatches(now time.Duration, out func(netip.Addr, []byte)) {
	to, at := s.opener.To(), s.e.time(now)
	for {
		epoch, number, groups, ok := s.out.sender.Next(at)
		if !ok {
			return
		}
		b := wire.AppendBatch(s.e.begin(to), wire.Batch{Epoch: epoch, Number: number, Groups: groups})
		if len(b)+wire.AckSize(wire.MaxRanges) <= s.maxBody {
			b = s.acknowledge(now, b)
		}
		s.emit(b, out)
	}
}

// sendControl sends the ack and the tip that are due.
func (s *session) sendControl(now time.Duration, out func(netip.Addr, []byte)) {
	to := s.opener.To()
	start := s.e.begin(to)
	b := s.acknowledge(now, start)
	if tip, due := s.out.sender.Tip(); due {
		b = wire.AppendTip(b, tip)
	}
	if len(b) > len(start) {
		s.emit(b, out)
	}
}

// acknowledge appends an ack if one is due.
func (s *session) acknowledge(now time.Duration, b []byte) []byte {
	if ack, due := s.in.receiver.Ack(s.e.time(now)); due {
		return wire.AppendAck(b, ack)
	}
	return b
}

// begin begins a body in the engine's buffer.
func (e *Engine) begin(to uint64) []byte { return wire.AppendTo(e.body[:0], to) }

// emit seals a body and sends it.
func (s *session) emit(body []byte, out func(netip.Addr, []byte)) {
	s.e.body = body
	sealed, err := s.e.sealer.Seal(s.e.sealed[:0], body)
	if err != nil {
		return // after 2^63 datagrams
	}
	s.e.sealed = sealed
	s.sent.Datagrams++
	s.sent.Bytes += uint64(len(sealed))
	out(s.addr, sealed)
}
