// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"slices"
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream"
	"hafast/pkg/conntrack/wire"
)

// incoming is what a peer tells: the batches of its stream, applied in order. It is the
// wire.Handler of what they say.
type incoming struct {
	e        *Engine
	s        *session
	receiver *stream.Receiver
	epoch    uint32 // of what has been taken in
	want     uint32 // the lowest epoch that will do
	now      time.Duration

	flows   *intake[record.FlowKey, record.Flow]
	entries *intake[record.EntryKey, record.Entry]
	takers  []taker // those that the peer replicates too

	unknown uint64 // groups of a later version
}

func newIncoming(s *session) *incoming {
	in := &incoming{e: s.e, s: s, receiver: stream.NewReceiver(s.e.limits.Stream)}
	if s.e.flows != nil {
		in.flows = newIntake(flowKind, s.e.flows, s.addr)
	}
	if s.e.entries != nil {
		in.entries = newIntake(entryKind, s.e.entries, s.addr)
	}
	return in
}

// choose sets which tables are taken.
func (in *incoming) choose(has func(wire.Table) bool) {
	in.takers = in.takers[:0]
	if in.flows != nil {
		in.flows.on = has(wire.Flows)
	}
	if in.entries != nil {
		in.entries.on = has(wire.Entries)
	}
	for _, t := range []wire.Table{wire.Flows, wire.Entries} {
		if taker := in.taker(t); taker != nil {
			in.takers = append(in.takers, taker)
		}
	}
}

// restart is for a peer that has started anew: its stream begins anew.
func (in *incoming) restart() {
	in.receiver = stream.NewReceiver(in.e.limits.Stream)
	in.epoch, in.want = 0, 0
	in.reset()
}

func (in *incoming) reset() {
	for _, t := range in.takers {
		t.reset()
	}
}

// inSync reports whether all that the peer holds has been told in this epoch.
func (in *incoming) inSync() bool {
	for _, t := range in.takers {
		if !t.complete() {
			return false
		}
	}
	return in.epoch >= in.want
}

// batch takes in a part of the stream.
func (in *incoming) batch(now time.Duration, content []byte) error {
	b, err := wire.DecodeBatch(content)
	if err != nil {
		return err
	}
	ready := in.receiver.Receive(in.e.time(now), b.Epoch, b.Number, b.Groups)
	in.enter()
	in.now = now
	for _, groups := range ready {
		unknown, bad := wire.DecodeGroups(groups, in)
		in.unknown += uint64(unknown)
		if bad != nil {
			in.ask() // what it said is lost
			err = bad
		}
	}
	return err
}

// tip takes in how far the peer has sent.
func (in *incoming) tip(now time.Duration, content []byte) error {
	t, err := wire.DecodeTip(content)
	if err != nil {
		return err
	}
	in.receiver.Tip(in.e.time(now), t)
	in.enter()
	return nil
}

// enter notices a new epoch.
func (in *incoming) enter() {
	if epoch := in.receiver.Epoch(); epoch != in.epoch {
		in.epoch = epoch
		in.reset()
	}
}

// ask has the peer tell everything anew.
func (in *incoming) ask() {
	in.want = in.epoch + 1
	in.s.greetAt = 0
}

// apply carries out all that was taken in.
func (in *incoming) apply() {
	for _, t := range in.takers {
		t.apply(in.now)
	}
}

// step does what is due.
func (in *incoming) step(now time.Duration) {
	for _, t := range in.takers {
		t.step(now, in.e.sweepable)
	}
}

// deadline adds when step is due, or an ack.
func (in *incoming) deadline(now time.Duration, at *earliest) {
	for _, t := range in.takers {
		t.deadline(now, at)
	}
	if d := in.receiver.Deadline(); !d.IsZero() {
		at.add(in.e.since(d))
	}
}

// activeFor reports whether the peer was Active for a VIP when it last said for which.
func (in *incoming) activeFor(vip record.Address) bool {
	return slices.ContainsFunc(in.takers, func(t taker) bool { return slices.Contains(t.active(), vip) })
}

// close ends what is under way.
func (in *incoming) close() {
	for _, t := range in.takers {
		t.close()
	}
}

// taker returns the intake of a table; nil if it is not taken.
func (in *incoming) taker(t wire.Table) taker {
	switch {
	case t == wire.Flows && in.flows != nil && in.flows.on:
		return in.flows
	case t == wire.Entries && in.entries != nil && in.entries.on:
		return in.entries
	}
	return nil
}

// Flow is a wire.Handler's.
func (in *incoming) Flow(op wire.Op, f record.Flow) {
	if in.flows != nil && in.flows.on && in.flows.take(op, &f, in.e.held) {
		in.flows.apply(in.now)
	}
}

// Entry is a wire.Handler's. What lingers does not count: no packet of it comes here any
// more, so that the end of an entry is for its new Active to tell.
func (in *incoming) Entry(op wire.Op, e *record.Entry) {
	if in.entries != nil && in.entries.on && in.entries.take(op, e, in.e.active) {
		in.entries.apply(in.now)
	}
}

// Begin is a wire.Handler's.
func (in *incoming) Begin(b wire.Begin) {
	if t := in.taker(b.Table); t != nil {
		t.apply(in.now)
		t.begin(b)
	}
}

// End is a wire.Handler's.
func (in *incoming) End(e wire.End) {
	if t := in.taker(e.Table); t != nil {
		t.apply(in.now)
		t.end(e)
	}
}
