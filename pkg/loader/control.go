// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// RenewLease sets the time, on CLOCK_MONOTONIC, from which on the gates are closed
// and the reflector says AdminDown.
func (d *DataPath) RenewLease(until time.Duration) {
	d.control.use(0, func(c *bpfControl) { atomic.StoreUint64(&c.Lease, uint64(until)) })
}

// Lease is the time that RenewLease has set, by this process or a predecessor.
func (d *DataPath) Lease() (until time.Duration) {
	d.control.use(0, func(c *bpfControl) { until = time.Duration(atomic.LoadUint64(&c.Lease)) })
	return until
}

// SetServing says what the reflector answers while the lease holds: Up, or AdminDown.
func (d *DataPath) SetServing(serving bool) {
	var v uint32
	if serving {
		v = 1
	}
	d.control.use(0, func(c *bpfControl) { atomic.StoreUint32(&c.Serving, v) })
}

// Serving is what SetServing has set.
func (d *DataPath) Serving() (serving bool) {
	d.control.use(0, func(c *bpfControl) { serving = atomic.LoadUint32(&c.Serving) == 1 })
	return serving
}

// SetGate opens or closes the gate of VIPs: whether this host answers ARP requests
// and neighbour solicitations for them. gate is below MaxGates.
func (d *DataPath) SetGate(gate int, open bool) {
	d.control.use(0, func(c *bpfControl) {
		word, shift := wordOf(&c.Open, gate)
		if open {
			atomic.OrUint32(word, 1<<shift)
		} else {
			atomic.AndUint32(word, ^(uint32(0xff) << shift))
		}
	})
}

// Gate reports whether a gate is open.
func (d *DataPath) Gate(gate int) (open bool) {
	d.control.use(0, func(c *bpfControl) {
		word, shift := wordOf(&c.Open, gate)
		open = atomic.LoadUint32(word)>>shift&0xff != 0
	})
	return open
}

// SetSelf says which place among the targets is this host's own.
func (d *DataPath) SetSelf(place int) error {
	if place < 0 || place >= MaxTargets {
		return fmt.Errorf("place %d: there are %d", place, MaxTargets)
	}
	d.control.use(0, func(c *bpfControl) { atomic.StoreUint32(&c.Self, uint32(place)) })
	return nil
}

// Self is the place that SetSelf has set, 0 at first.
func (d *DataPath) Self() (place int) {
	d.control.use(0, func(c *bpfControl) { place = int(atomic.LoadUint32(&c.Self)) })
	return place
}

// SetProbe says which UDP port this host's probes leave from (0: it sends none), the
// required min RX interval that the reflector states, and how many probes it answers
// to each peer within 2^24 ns (16.8 ms).
func (d *DataPath) SetProbe(port uint16, minRX time.Duration, reflectLimit uint32) {
	d.control.use(0, func(c *bpfControl) {
		atomic.StoreUint32(&c.MinRx, uint32(minRX.Microseconds()))
		atomic.StoreUint32(&c.ReflectLimit, reflectLimit)
		atomic.StoreUint32(&c.ProbePort, uint32(port))
	})
}

// SetWitness says whose ARP replies are counted; the zero address: nobody's.
func (d *DataPath) SetWitness(a netip.Addr) error {
	var w uint32
	if a.IsValid() {
		if a = a.Unmap(); !a.Is4() {
			return fmt.Errorf("witness %v: must be an IPv4 address", a)
		}
		w = word4(a)
	}
	d.control.use(0, func(c *bpfControl) { atomic.StoreUint32(&c.Witness, w) })
	return nil
}

// WitnessReplies is how many ARP replies of witnesses have been seen, ever.
func (d *DataPath) WitnessReplies() (n uint64) {
	d.witness.use(0, func(w *bpfWitness) { n = atomic.LoadUint64(&w.Replies) })
	return n
}
