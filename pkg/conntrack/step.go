// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"errors"
	"net/netip"
	"time"

	"hafast/pkg/conntrack/wire"
)

// hopLimit is that of datagrams that are not sealed (RFC 5082).
const hopLimit = 255

// The engine's own reasons to reject a datagram, looked for before those of wire.
const (
	RejectPeer wire.Reject = "peer" // not from a configured peer
	RejectTTL  wire.Reject = "ttl"  // not sealed, and from beyond a router
)

// Receive takes in a datagram, which it overwrites. hello is what the peer says of
// itself, good until the datagram's memory is used again; nil if it does not. The error is a
// wire.Reject. Step is to be called afterwards, once for all that have come.
func (e *Engine) Receive(now time.Time, from netip.Addr, hops int, datagram []byte) (hello []byte, err error) {
	at := e.tell(now)
	s := e.index[from.Unmap()]
	if s == nil {
		e.rejected[RejectPeer]++
		return nil, RejectPeer
	}
	s.received.Datagrams++
	s.received.Bytes += uint64(len(datagram))
	if !e.ring.Sealed() && hops != hopLimit {
		s.rejected[RejectTTL]++
		return nil, RejectTTL
	}
	opened, err := s.opener.Open(now, datagram)
	if err != nil {
		if reject, ok := errors.AsType[wire.Reject](err); ok {
			s.rejected[reject]++
		}
		return nil, err
	}
	return s.receive(at, opened), nil
}

// Step does all that is due and puts out datagrams. What it hands to out is good until
// out returns.
func (e *Engine) Step(now time.Time, out func(to netip.Addr, datagram []byte)) {
	at := e.tell(now)
	if e.expected > 0 && at-e.expected > pauseAfter {
		e.awake = at
	}
	for _, s := range e.sessions {
		s.step(at)
		s.send(at, out)
	}
	if e.lingers != e.lingering() {
		e.hold()
	}
	e.expected = 0
	if d, ok := e.Deadline(); ok {
		e.expected = max(at, e.since(d))
	}
}

// lingering is how many VIPs linger.
func (e *Engine) lingering() (n int) {
	for _, s := range e.sessions {
		n += len(s.out.lingering)
	}
	return n
}

// Deadline is when Step is next due, perhaps in the past; false if it is not. Each
// other method may bring it forward.
func (e *Engine) Deadline() (time.Time, bool) {
	var at earliest
	for _, s := range e.sessions {
		s.deadline(e.now, &at)
	}
	return e.time(at.time), at.ok
}

// earliest is the earliest of times.
type earliest struct {
	time time.Duration
	ok   bool
}

func (e *earliest) add(t time.Duration) {
	if !e.ok || t < e.time {
		e.time, e.ok = t, true
	}
}
