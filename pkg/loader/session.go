// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Session is the shared memory of a liveness session: where the prober says what it
// has sent, and where the program notes what comes back. It is a value that may be
// copied; one goroutine should call SetSent.
type Session struct {
	memory *memory[bpfSession]
	slot   int
}

// Session returns the session in a slot, which is below MaxPeers and the one that
// SetPeers connects with an address.
func (d *DataPath) Session(slot int) (Session, error) {
	if slot < 0 || slot >= MaxPeers {
		return Session{}, fmt.Errorf("session %d: there are %d", slot, MaxPeers)
	}
	return Session{memory: d.sessions, slot: slot}, nil
}

// SetSent says which sequence number is about to be sent: replies to much older or
// to newer ones are not accepted.
func (s Session) SetSent(seq uint32) {
	s.memory.use(s.slot, func(m *bpfSession) { atomic.StoreUint32(&m.Sent, seq) })
}

// Reply is the last reply: the sequence number of the probe that it is for, the
// peer's state (RFC 5880 section 4.1: 0 AdminDown, 1 Down, 2 Init, 3 Up), when it
// came on CLOCK_MONOTONIC, and how many have come in all. What a predecessor has
// left is there too.
func (s Session) Reply() (seq uint32, state uint8, at time.Duration, replies uint64) {
	s.memory.use(s.slot, func(m *bpfSession) {
		// The program writes reply last. A reply that comes in between shows by
		// another sequence; three in a row are a flood, and any of them will do.
		for range 4 {
			reply := atomic.LoadUint64(&m.Reply)
			at = time.Duration(atomic.LoadUint64(&m.ReplyAt))
			replies = atomic.LoadUint64(&m.Replies)
			seq, state = uint32(reply>>32), uint8(reply)
			if atomic.LoadUint64(&m.Reply) == reply {
				return
			}
		}
	})
	return seq, state, at, replies
}
