// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// writer works off records of replicas by the maps' own system calls, with the rules of
// bpf/replicate.h: for kernels that have no program which could (before Linux 5.17).
//
// It cannot compare and swap. What a packet writes into an entry between a look-up and
// the update behind it is lost: a time of a jiffy or two, which the next packet writes
// again, or a FIN, which leaves the flow to be forgotten by its idle time.
type writer struct {
	d   *DataPath
	now uint32
}

func (d *DataPath) newWriter() *writer { return &writer{d: d} }

func (w *writer) workOff(records []bpfReplica) (err error) {
	if w.now, err = w.d.ticks.now(); err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		outcome, err := w.carryOut(r)
		if err != nil {
			return err
		}
		r.Result = uint8(outcome)
	}
	return nil
}

func (w *writer) carryOut(r *bpfReplica) (ReplicaOutcome, error) {
	table, key := w.table(r)
	if r.Op == replicaTell {
		return w.write(table, key, r)
	}
	return w.forget(table, key, r)
}

// table is the flow table that a record is about, and its key there.
func (w *writer) table(r *bpfReplica) (*ebpf.Map, any) {
	m := &w.d.maps
	if r.Ipv6 != 0 {
		if r.Proto == UDP {
			return m.Udp6, &r.Key
		}
		return m.Tcp6, &r.Key
	}
	client, vip := endsOf(&r.Key, 0)
	key := key4(&Flow{Client: client, VIP: vip})
	if r.Proto == UDP {
		return m.Udp4, &key
	}
	return m.Tcp4, &key
}

// stamp is one for a time ago, and never this very jiffy's: the next packet here has to
// leave a mark.
func (w *writer) stamp(ago uint32) uint32 { return w.now - max(ago, 1) }

func (w *writer) write(table *ebpf.Map, key any, r *bpfReplica) (ReplicaOutcome, error) {
	next := bpfFlow{Target: r.Target, Flags: r.Flags | flowReplica, Service: w.d.serviceID(r), Seen: w.stamp(r.Idle)}
	var was bpfFlow
	switch err := table.Lookup(key, &was); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		switch err := table.Update(key, &next, ebpf.UpdateNoExist); {
		case errors.Is(err, ebpf.ErrKeyExist):
			return ReplicaKept, nil // a packet was quicker
		case err != nil:
			return ReplicaFailed, nil
		}
		return ReplicaAdded, nil
	case err != nil:
		return 0, fmt.Errorf("look a flow up: %w", err)
	}
	if younger(was.Seen, next.Seen) {
		if r.Own != 0 && was.Flags&flowReplica == 0 {
			return ReplicaKept, nil
		}
		next.Seen = was.Seen
		if recent := w.stamp(0); younger(was.Seen, recent) {
			next.Seen = recent
		}
	}
	if err := table.Update(key, &next, ebpf.UpdateExist); err != nil {
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return ReplicaFailed, nil // pushed out a moment ago
		}
		return 0, fmt.Errorf("write a flow: %w", err)
	}
	if was.Target == next.Target && (was.Flags^next.Flags)&flowClosing == 0 {
		return ReplicaSame, nil
	}
	return ReplicaAltered, nil
}

func (w *writer) forget(table *ebpf.Map, key any, r *bpfReplica) (ReplicaOutcome, error) {
	var was bpfFlow
	switch err := table.Lookup(key, &was); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return ReplicaSame, nil
	case err != nil:
		return 0, fmt.Errorf("look a flow up: %w", err)
	}
	if r.Op == replicaSweep && was.Flags != r.Flags || r.Op == replicaGone && r.Own != 0 && was.Flags&flowReplica == 0 {
		return ReplicaKept, nil
	}
	switch err := table.Delete(key); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return ReplicaSame, nil
	case err != nil:
		return 0, fmt.Errorf("delete a flow: %w", err)
	}
	return ReplicaRemoved, nil
}

func younger(a, b uint32) bool { return int32(a-b) > 0 }

// serviceID is the number that a record's service has in the steering in force.
func (d *DataPath) serviceID(r *bpfReplica) (id uint16) {
	var bank uint32
	d.control.use(0, func(c *bpfControl) { bank = atomic.LoadUint32(&c.Bank) & 1 })
	_, vip := endsOf(&r.Key, r.Ipv6)
	port := swap16(vip.Port())
	home := serviceHome(fold(vip.Addr()), port, r.Proto)
	id = NoService
	d.steering.use(int(bank), func(s *bpfSteering) {
		for i := range serviceProbes {
			at := (home + i) % serviceSlots
			if r.Ipv6 != 0 {
				if s := &s.Service6[at]; s.Proto == r.Proto && s.Port == port && addr6(s.Vip) == vip.Addr() {
					id = s.Id
					return
				}
			} else if s := &s.Service4[at]; s.Proto == r.Proto && s.Port == port && addr4(s.Vip) == vip.Addr() {
				id = s.Id
				return
			}
		}
	})
	return id
}
