// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"sync/atomic"
)

// LegDiscriminator is added to the discriminator of a host for probes of the leg by way
// of that host: LEG_DISCRIMINATOR of bpf/abi.h.
const LegDiscriminator = 0x4c454700

// Leg is the shared memory of the leg from a peer: whether what the peer's program sends
// on arrives here (bpf/leg.h). It is a value that may be copied; one goroutine should
// call SetSent.
type Leg struct {
	memory *memory[bpfLeg]
	slot   int
}

// Leg returns the leg in a slot, which is that of the peer's Session.
func (d *DataPath) Leg(slot int) (Leg, error) {
	if slot < 0 || slot >= MaxPeers {
		return Leg{}, fmt.Errorf("leg %d: there are %d", slot, MaxPeers)
	}
	return Leg{memory: d.legs, slot: slot}, nil
}

// SetSent says which sequence number is about to be sent: much older and newer ones are
// not taken note of when they come back.
func (l Leg) SetSent(seq uint32) {
	l.memory.use(l.slot, func(m *bpfLeg) { atomic.StoreUint32(&m.Sent, seq) })
}

// Returned is the sequence number of the probe that came back last.
func (l Leg) Returned() (seq uint32) {
	l.memory.use(l.slot, func(m *bpfLeg) { seq = atomic.LoadUint32(&m.Returned) })
	return seq
}

// Forwarded is how many probes of the peer this host's program has sent back to it.
func (l Leg) Forwarded() (n uint64) {
	l.memory.use(l.slot, func(m *bpfLeg) { n = atomic.LoadUint64(&m.Forwarded) })
	return n
}
