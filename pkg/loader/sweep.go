// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Sweep deletes, piece by piece, replicas that have not been told of late. It is for one
// goroutine at a time.
type Sweep struct {
	d      *DataPath
	walk   *Walk
	before uint32
	flows  []Flow
}

// SweepReplicas returns what deletes those replicas that were last told before a
// generation. NextGeneration has returned that generation at most maxGenerations times
// ago: older ones cannot be told from newer ones, and then nothing is deleted. A flow of
// which a packet has come here is no replica any more.
func (d *DataPath) SweepReplicas(before uint32) *Sweep {
	return &Sweep{d: d, walk: d.Walk(), before: before}
}

// Next visits up to that many entries, MinWalk at least, and deletes the replicas among
// them whose VIP is in scope. A million take some 0.5 s of a processor in all: who must
// not keep others waiting asks for few at a time. At the end the error is io.EOF,
// perhaps along with the last deletions.
func (s *Sweep) Next(scope func(vip netip.Addr) bool, visits int) (deleted int, err error) {
	if len(s.flows) < visits {
		s.flows = make([]Flow, visits)
	}
	n, err := s.walk.Next(s.flows[:visits])
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	stale := s.flows[:0]
	for _, f := range s.flows[:n] {
		if s.d.replicas.stale(&f, s.before) && scope(f.VIP.Addr()) {
			stale = append(stale, f)
		}
	}
	for len(stale) > 0 {
		some := stale[:min(replicaBatch, len(stale))]
		removed, failed := s.d.forget(some)
		if failed != nil {
			return deleted, fmt.Errorf("sweep replicas: %w", failed)
		}
		deleted += removed
		stale = stale[len(some):]
	}
	return deleted, err
}

// stale reports whether a flow is a replica that was last told before a generation.
func (r *replicator) stale(f *Flow, before uint32) bool {
	now := r.generation.Load()
	if !f.Replica || now-before > maxGenerations {
		return false
	}
	return (now-uint32(f.Generation))&maxGenerations > now-before
}

// forget deletes replicas, unless a packet has come or they have been told meanwhile.
func (d *DataPath) forget(flows []Flow) (removed int, err error) {
	d.replicas.mu.Lock()
	defer d.replicas.mu.Unlock()
	d.replicas.records.all(func(records []bpfReplica) {
		for i := range flows {
			records[i] = d.record(&flows[i], replicaSweep, uint32(flows[i].Generation))
			records[i].Flags |= flowReplica
		}
		if err = d.workOff(records[:len(flows)]); err != nil {
			return
		}
		for i := range flows {
			if ReplicaOutcome(records[i].Result) == ReplicaRemoved {
				removed++
			}
		}
	})
	return removed, err
}

// IdleLimits are how long flows may be idle before they are forgotten.
type IdleLimits struct {
	Established, Closing, UDP time.Duration
}

// Exceeded reports whether a flow has been idle for longer than its kind may be. With
// DeleteFlows it makes a sweep whose deletions the caller gets to see.
func (l IdleLimits) Exceeded(f Flow) bool {
	limit := l.Established
	switch {
	case f.Proto == UDP:
		limit = l.UDP
	case f.Closing:
		limit = l.Closing
	}
	return f.Idle > limit
}
