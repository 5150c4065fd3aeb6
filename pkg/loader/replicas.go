// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// Replica is what a peer tells of a flow.
type Replica struct {
	// Flow is how the peer has it. Its Place is what the target has here, its Service is
	// looked up, and Replica and Generation are of no account.
	Flow Flow
	// Gone: the peer has it no more. Of Flow, only addresses and protocol count.
	Gone bool
	// Own: this host is itself responsible for the flow's VIP. An entry that has had a
	// packet here then stays as it is, if that was more recent than the peer's.
	Own bool
	// Outcome is for ApplyReplicas to set.
	Outcome ReplicaOutcome
}

// ReplicaOutcome is what has come of a Replica: enum replica_result of bpf/abi.h.
type ReplicaOutcome uint8

// The outcomes.
const (
	// ReplicaSame: it was so but for its age, or there was nothing to delete.
	ReplicaSame ReplicaOutcome = iota + 1
	// ReplicaAdded: it was not there.
	ReplicaAdded
	// ReplicaAltered: its target, or whether it is closing, was another.
	ReplicaAltered
	// ReplicaRemoved: it was there, and is not any more.
	ReplicaRemoved
	// ReplicaKept: what is here is younger.
	ReplicaKept
	// ReplicaFailed: the table is full of flows that cannot be pushed out at this
	// moment, or the flow makes no sense.
	ReplicaFailed
)

func (o ReplicaOutcome) String() string {
	switch o {
	case ReplicaSame:
		return "same"
	case ReplicaAdded:
		return "added"
	case ReplicaAltered:
		return "altered"
	case ReplicaRemoved:
		return "removed"
	case ReplicaKept:
		return "kept"
	case ReplicaFailed:
		return "failed"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Records and results of the program that writes replicas.
const (
	replicaBatch = 512
	replicaTell  = 1
	replicaGone  = 2
	replicaSweep = 3
)

// newReplicator takes the program over; nil where the kernel cannot load it.
func newReplicator(program *ebpf.Program, records *ebpf.Map) (*replicator, error) {
	m, err := mapMemory[bpfReplica](records)
	if err != nil {
		if program != nil {
			_ = program.Close()
		}
		return nil, err
	}
	return &replicator{program: program, records: m}, nil
}

// replicator works off records of replicas: by running the program that does so, or
// itself where there is none.
type replicator struct {
	program *ebpf.Program // nil: see writer
	// generation counts up; an entry remembers its last bits.
	generation atomic.Uint32

	mu      sync.Mutex
	records *memory[bpfReplica]
}

func (r *replicator) close() error {
	if r.program == nil {
		return nil
	}
	return r.program.Close()
}

// ApplyReplicas writes what a peer tells into the tables, in order, and sets the
// Outcome of each. It tells nobody: no FlowEvent comes of it. An entry that is written
// remembers the generation (NextGeneration), and that it is a replica until a packet of
// it comes here; where there was one, it becomes no older than it was. An error leaves
// outcomes unset.
//
// One system call does 512 of them. Among 100,000 flows, one that is there already takes
// some 0.5 us, and a new one 0.6 us.
func (d *DataPath) ApplyReplicas(replicas []Replica) error {
	generation := d.replicas.generation.Load()
	for len(replicas) > 0 {
		some := replicas[:min(replicaBatch, len(replicas))]
		if err := d.applySome(some, generation); err != nil {
			return fmt.Errorf("apply replicas: %w", err)
		}
		replicas = replicas[len(some):]
	}
	return nil
}

func (d *DataPath) applySome(replicas []Replica, generation uint32) (err error) {
	d.replicas.mu.Lock()
	defer d.replicas.mu.Unlock()
	d.replicas.records.all(func(records []bpfReplica) {
		n := 0
		for i := range replicas {
			r := &replicas[i]
			r.Outcome = 0
			if !r.Flow.sensible() {
				r.Outcome = ReplicaFailed
				continue
			}
			records[n] = d.record(&r.Flow, replicaTell, generation)
			if r.Gone {
				records[n].Op = replicaGone
			}
			if r.Own {
				records[n].Own = 1
			}
			n++
		}
		if err = d.workOff(records[:n]); err != nil {
			return
		}
		n = 0
		for i := range replicas {
			if replicas[i].Outcome == 0 {
				replicas[i].Outcome = ReplicaOutcome(records[n].Result)
				n++
			}
		}
	})
	return err
}

// record is a flow for the program.
func (d *DataPath) record(f *Flow, op uint8, generation uint32) bpfReplica {
	r := bpfReplica{Op: op, Proto: f.Proto, Target: uint8(f.Place), Idle: d.ticks.count(f.Idle)}
	r.Flags = uint8(generation << generationShift)
	if f.Closing {
		r.Flags |= flowClosing
	}
	r.Key, r.Ipv6 = keyOf(f)
	return r
}

// workOff works off records, which are the first of those mapped into the program, and leaves their results in them.
func (d *DataPath) workOff(records []bpfReplica) error {
	switch {
	case len(records) == 0:
		return nil
	case d.replicas.program == nil:
		return d.newWriter().workOff(records)
	}
	_, err := d.replicas.program.Run(&ebpf.RunOptions{Context: bpfReplicateArgs{Records: uint32(len(records))}})
	return err
}

// NextGeneration counts up what ApplyReplicas marks entries with from now on, and
// returns it.
func (d *DataPath) NextGeneration() uint32 { return d.replicas.generation.Add(1) }
