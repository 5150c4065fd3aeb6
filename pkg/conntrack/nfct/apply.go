// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// Action is what to do about an entry.
type Action uint8

// The actions.
const (
	// Set brings the entry to what is told. It begins with creating it, which is
	// cheapest where it is not there yet.
	Set Action = iota
	// Check does the same, but looks first: cheapest where the entry is there, and is as
	// told. It takes no TCP connection back from its closing.
	Check
	// Delete removes the entry that has the Key.
	Delete
	// Retire removes an entry that was told of, unless it has had a packet here since: then
	// it is Kept.
	Retire
	// Loosen ends the window tracking of an own TCP entry, which must be before its
	// packets may go by another host and come back: this host would find them out of a
	// window that has stood still meanwhile. Replicas have none from the beginning. It is
	// not needed where nf_conntrack_tcp_be_liberal is 1.
	Loosen
)

// Op is one thing to do, and what has come of it.
type Op struct {
	Action  Action
	Entry   record.Entry // Delete and Loosen use its Key alone, Retire also Timeout and TCP.State
	Outcome Outcome
}

// Outcome is what has come of an Op.
type Outcome uint8

// The outcomes. The first six are as wished.
const (
	// Done: created, deleted or loosened.
	Done Outcome = iota
	// Same: it is there as told.
	Same
	// Refreshed: it was there as told, but for what goes by itself: the time it has
	// left, and which state its closing had.
	Refreshed
	// Updated: it was there, and was different.
	Updated
	// Replaced: it was there with another reply direction or other NAT, which the kernel
	// changes in no entry; it was deleted and created.
	Replaced
	// Superseded: a later Op of the batch is about the same entry.
	Superseded
	// Orphaned: it was created without its master, which is not there.
	Orphaned
	// Kept: this host's own entry has had a packet more recently, or has come further with
	// its closing.
	Kept
	// Missing: there was nothing to delete, to retire or to loosen.
	Missing
	// Collision: another entry has the reply direction.
	Collision
	// Full: the table is full, or the kernel has no memory.
	Full
	// Refused: the kernel does not want it for another reason. Tally has the last error.
	Refused

	outcomes = int(iota)
)

func (o Outcome) String() string {
	return [outcomes]string{
		"done", "same", "refreshed", "updated", "replaced", "superseded",
		"orphaned", "kept", "missing", "collision", "full", "refused",
	}[o]
}

// Tally counts the outcomes of a batch.
type Tally struct {
	Counts [outcomes]int
	// Refusal is what the kernel said to the last Op that was Refused.
	Refusal error
}

// Apply carries out the ops in order, and sets their Outcomes. Masters must come
// before the entries that they expected. The error is one of the socket; then
// Outcomes are unknown.
//
// Most batches need one round trip; entries that turn out otherwise than thought need
// up to five.
func (t *Table) Apply(ops []Op) (Tally, error) {
	var tally Tally
	for start := 0; start < len(ops); start += batchSize {
		batch := ops[start:min(start+batchSize, len(ops))]
		if err := t.applyBatch(batch, &tally); err != nil {
			return tally, fmt.Errorf("change connection tracking: %w", err)
		}
		for i := range batch {
			tally.Counts[batch[i].Outcome]++
		}
	}
	return tally, nil
}

func (t *Table) applyBatch(ops []Op, tally *Tally) error {
	t.jobs = t.jobs[:0]
	for i := range ops {
		if !oneFamily(&ops[i]) {
			ops[i].Outcome, tally.Refusal = Refused, unix.EAFNOSUPPORT
			continue
		}
		t.jobs = append(t.jobs, job{op: i, step: ops[i].Action.first()})
	}
	for len(t.jobs) > 0 {
		if err := t.round(ops); err != nil {
			return err
		}
		left := t.jobs[:0]
		for i := range t.jobs {
			j := &t.jobs[i]
			t.advance(j, &ops[j.op], tally)
			switch {
			case j.step == finished:
			case renewed(ops, j.op):
				ops[j.op].Outcome = Superseded
			default:
				left = append(left, *j)
			}
		}
		t.jobs = left
	}
	return nil
}

// oneFamily reports whether the addresses that an Op uses are of one family: a message
// has one, and would take a part of the others for the whole.
func oneFamily(op *Op) bool {
	key, reply := &op.Entry.Key.Tuple, &op.Entry.Reply
	v4 := key.Src.Is4()
	if key.Dst.Is4() != v4 {
		return false
	}
	return op.Action >= Delete || reply.Src.Is4() == v4 && reply.Dst.Is4() == v4
}

// renewed reports whether a later Op is about the same entry. It has been carried out
// already when the earlier one needs another round.
func renewed(ops []Op, i int) bool {
	for later := i + 1; later < len(ops); later++ {
		if ops[later].Entry.Key == ops[i].Entry.Key {
			return true
		}
	}
	return false
}

// round carries out the next step of every job, and leaves in it what was answered.
func (t *Table) round(ops []Op) error {
	first := t.seq + 1
	t.asked = t.asked[:0]
	for i := range t.jobs {
		t.jobs[i].errno, t.jobs[i].found = 0, false
		t.write(i, &ops[t.jobs[i].op])
	}
	return t.exchange(func(m nlmsg.Message) {
		index := int(m.Seq - first)
		if index >= len(t.asked) || t.asked[index] == nobody {
			return
		}
		j := &t.jobs[t.asked[index]]
		switch m.Type {
		case unix.NLMSG_ERROR:
			j.errno, _ = errors.AsType[unix.Errno](m.Errno())
		case typeNew:
			if Decode(m, &t.report) == nil {
				j.local, j.found = t.report.Entry, true
			}
		}
	})
}

// nobody is who waits for the answer to a message that may fail.
const nobody = -1

// write writes the messages of a job's step.
func (t *Table) write(index int, op *Op) {
	j := &t.jobs[index]
	if j.step == replace {
		appendKey(&t.out, typeDelete, t.next(), &op.Entry.Key)
		t.asked = append(t.asked, nobody)
	}
	seq := t.next()
	t.asked = append(t.asked, index)
	switch j.step {
	case create, replace:
		appendCreate(&t.out, seq, &op.Entry, op.Entry.Master != record.EntryKey{})
	case createOrphan:
		appendCreate(&t.out, seq, &op.Entry, false)
	case get:
		appendKey(&t.out, typeGet, seq, &op.Entry.Key)
	case update:
		if t.unlabelled {
			j.local.Labels = op.Entry.Labels
		}
		appendUpdate(&t.out, seq, &op.Entry, &j.local)
	case remove:
		appendKey(&t.out, typeDelete, seq, &op.Entry.Key)
	case loosen:
		appendLoosen(&t.out, seq, &op.Entry.Key)
	case finished: // is not written
	}
}
