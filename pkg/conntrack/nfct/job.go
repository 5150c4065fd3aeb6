// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"time"

	"golang.org/x/sys/unix"

	"hafast/pkg/conntrack/record"
)

// job is an Op that is under way.
type job struct {
	op   int // index
	step step
	// errno is what was answered to the step; 0 if it went well.
	errno unix.Errno
	// local is the entry that is there, if it was found.
	local record.Entry
	found bool
	// looked tells that no entry had the original direction: one that exists
	// nevertheless is in the way of the reply direction.
	looked bool
	// success is the outcome of an update that goes well.
	success Outcome
}

// step is what a job does next.
type step uint8

const (
	create step = iota
	createOrphan
	get
	update
	replace
	remove
	loosen
	finished
)

func (a Action) first() step {
	switch a {
	case Check, Retire:
		return get
	case Delete:
		return remove
	case Loosen:
		return loosen
	case Set:
	}
	return create
}

// advance says what the answer to a step means: another step, or an outcome.
func (t *Table) advance(j *job, op *Op, tally *Tally) {
	finish := func(o Outcome) { op.Outcome, j.step = o, finished }
	switch {
	case j.step == get && j.found && op.Action == Retire:
		if j.step = remove; younger(&j.local, &op.Entry) || j.local.TCP.State != op.Entry.TCP.State {
			finish(Kept)
		}
	case j.step == get && j.found:
		t.compare(j, op)
	case j.step == get && op.Action == Retire && j.errno == unix.ENOENT:
		finish(Missing)
	case j.errno == 0:
		finish(j.wellDone())
	case j.errno == unix.ENOENT && j.step != createOrphan:
		switch j.step {
		case remove, loosen:
			finish(Missing)
		case get, update:
			j.step, j.looked = create, true
		default: // its master
			j.step = createOrphan
		}
	case j.errno == unix.EEXIST && j.step == create && !j.looked:
		j.step = get
	case j.errno == unix.EEXIST:
		finish(Collision)
	case j.errno == unix.ENOSPC && j.step == update:
		// All but the labels is done, and they have no place here: no rule uses any.
		t.unlabelled = true
		finish(j.success)
	case j.errno == unix.ENOMEM || j.errno == unix.ENOSPC || j.errno == unix.ENOBUFS:
		finish(Full)
	default:
		tally.Refusal = j.errno
		finish(Refused)
	}
}

// wellDone is the outcome of a step without an error.
func (j *job) wellDone() Outcome {
	switch j.step {
	case createOrphan:
		return Orphaned
	case update:
		return j.success
	case replace:
		return Replaced
	case create, get, remove, loosen, finished:
	}
	return Done
}

// compare says what becomes of the entry that is there.
func (t *Table) compare(j *job, op *Op) {
	local, told := &j.local, &op.Entry
	if local.Labels != ([16]byte{}) {
		t.unlabelled = false
	}
	switch {
	case local.Reply != told.Reply || (local.Status^told.Status)&statusNAT != 0:
		j.step = replace
	case younger(local, told), op.Action == Check && further(local, told):
		op.Outcome, j.step = Kept, finished
	case t.differ(local, told):
		j.step, j.success = update, Updated
	case stale(local, told):
		j.step, j.success = update, Refreshed
	default:
		op.Outcome, j.step = Same, finished
	}
}

// youngerBy is how much longer than told an entry must have to live for its host to
// have seen a later packet: less than that are rounding, and the way here.
const youngerBy = 5 * time.Second

// younger reports whether the local entry has had a packet later than what is told of.
// That can be said of entries in the same state, which all began with the same time
// to live if both hosts have the same timeouts.
func younger(local, told *record.Entry) bool {
	return local.TCP.State == told.TCP.State && local.Timeout > told.Timeout+youngerBy
}

// further reports whether a TCP connection has come further with its closing here than is
// told: its replica at a host that none of its packets pass stays established, and what is
// told of that is no news. States have the order in which a connection goes through them.
func further(local, told *record.Entry) bool {
	return open(told) && local.TCP.State > told.TCP.State && local.TCP.State <= TCPClose
}

// differ reports whether the entries differ in what packets do not bring about by
// passing here.
func (t *Table) differ(local, told *record.Entry) bool {
	return told.Status&^local.Status&statusSettable != 0 ||
		local.Mark != told.Mark ||
		local.Labels != told.Labels && !t.unlabelled ||
		local.TCP.State != told.TCP.State && !(open(local) && open(told)) ||
		scaled(told) && (local.TCP.ScaleOriginal != told.TCP.ScaleOriginal || local.TCP.ScaleReply != told.TCP.ScaleReply)
}

// open reports whether a TCP connection is established or closing.
func open(e *record.Entry) bool {
	return StatesOf(TCPEstablished, TCPFinWait, TCPCloseWait, TCPLastAck).Has(e.TCP.State)
}

// scaled reports whether window scales are in use: without both ends there are none.
func scaled(e *record.Entry) bool {
	return e.TCP.FlagsOriginal&e.TCP.FlagsReply&tcpWindowScale != 0
}

// stale reports whether the entry has much less time than told, or its closing another
// state, or tracks a window that is not where it thinks.
func stale(local, told *record.Entry) bool {
	return local.Timeout < told.Timeout-told.Timeout/8 ||
		local.TCP.State != told.TCP.State ||
		Windowed(local)
}

// Windowed reports whether an entry's packets are held to a window: see Loosen.
func Windowed(e *record.Entry) bool {
	return e.Key.Tuple.Proto == unix.IPPROTO_TCP && e.TCP.FlagsOriginal&e.TCP.FlagsReply&tcpBeLiberal == 0
}
