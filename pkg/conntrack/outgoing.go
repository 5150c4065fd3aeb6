// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"time"

	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream"
	"hafast/pkg/conntrack/wire"
)

const (
	// stepBatches is how many batches are filled in one step, so that whatever else the
	// caller has to do need not wait for a resync: some 600 flows, which take less than a
	// millisecond with their datagrams.
	stepBatches = 8
	// stallAfter is how long a peer that is heard may acknowledge nothing.
	stallAfter = 3 * time.Second
	// resyncSpacing is the least time between two resyncs. It doubles with each that
	// was not completed, up to 128 times.
	resyncSpacing = 100 * time.Millisecond
	// lingerFor is how long a VIP that this host has ceased to hold is owed to a peer
	// that has not got all of it.
	lingerFor = time.Minute
)

// Reason says why a peer is told everything anew. Its text is fit for a metric's label.
type Reason string

// The reasons.
const (
	ReasonStart    Reason = "start"    // the first time
	ReasonRestart  Reason = "restart"  // its daemon has started anew
	ReasonOverflow Reason = "overflow" // more changes than the outbox holds
	ReasonStalled  Reason = "stalled"  // it is there, but acknowledges nothing
	ReasonSilent   Reason = "silent"   // it was not there for a while
	ReasonAsked    Reason = "asked"    // it asked for it
	ReasonLost     Reason = "lost"     // this host missed changes of its own
	ReasonChanged  Reason = "changed"  // it replicates other tables now
)

// phase is where the telling stands.
type phase uint8

const (
	idle    phase = iota // there is nobody to tell
	resting              // an epoch is announced and will begin
	telling
)

// outgoing is what a peer is told: news and walks, in batches of one stream. Times are
// counted from the engine's start.
type outgoing struct {
	e       *Engine
	sender  *stream.Sender
	writer  *wire.BatchWriter
	room    int // of a batch, in bytes
	flows   *lane[record.FlowKey, record.Flow]
	entries *lane[record.EntryKey, record.Entry]
	lanes   []teller // those that the peer replicates too

	phase    phase
	resumeAt time.Duration // when a resting epoch may begin
	began    time.Duration // when the last one did
	attempts int           // epochs since the last one that was completed
	flush    bool          // news do not wait

	pushed   uint64 // batches of this epoch
	acked    uint64 // lowest number that is not acknowledged
	progress time.Duration

	// A mark is the number of the batch whose acknowledgement means something; 0: it
	// has not been pushed yet.
	coverMark uint64
	covered   bool // the peer has got all of the first walks
	scopeMark uint64

	// lingering are VIPs that this host holds no more, of which the peer may not have
	// got everything.
	lingering []record.Address
	lingerEnd time.Duration

	resyncs    map[Reason]uint64
	lastResync Reason
	resyncTook time.Duration
	lag        lagMeter
}

func newOutgoing(e *Engine, room int) *outgoing {
	o := &outgoing{
		e: e, sender: stream.NewSender(e.limits.Stream), writer: wire.NewBatchWriter(room), room: room,
		resyncs: map[Reason]uint64{},
	}
	if e.flows != nil {
		o.flows = newLane(flowKind, e.flows, e.limits.Outbox)
	}
	if e.entries != nil {
		o.entries = newLane(entryKind, e.entries, e.limits.Outbox)
	}
	return o
}

// resize is for a peer behind another MTU.
func (o *outgoing) resize(room int) {
	if room != o.room {
		o.writer, o.room = wire.NewBatchWriter(room), room
	}
}

// choose sets which tables are told. It reports whether they are others than before.
func (o *outgoing) choose(has func(wire.Table) bool) bool {
	flows, entries := o.flows != nil && has(wire.Flows), o.entries != nil && has(wire.Entries)
	if flows == (o.flows != nil && o.flows.on) && entries == (o.entries != nil && o.entries.on) {
		return false
	}
	o.shut()
	o.lanes = nil
	if o.flows != nil {
		if o.flows.on = flows; flows {
			o.lanes = append(o.lanes, o.flows)
		}
	}
	if o.entries != nil {
		if o.entries.on = entries; entries {
			o.lanes = append(o.lanes, o.entries)
		}
	}
	return true
}

// shut ends the telling.
func (o *outgoing) shut() {
	for _, l := range o.lanes {
		l.close()
	}
	if o.phase != idle {
		o.sender.NewEpoch() // lets go of what is under way
	}
	o.phase, o.covered = idle, false
}

// renew gives up what is under way. A new epoch is announced, and begins when it may.
func (o *outgoing) renew(now time.Duration, why Reason) {
	for _, l := range o.lanes {
		l.close()
	}
	o.phase, o.covered = idle, len(o.lanes) == 0
	if len(o.lanes) == 0 {
		return
	}
	o.sender.NewEpoch()
	o.phase = resting
	o.pushed, o.acked = 0, 1
	o.coverMark, o.scopeMark = 0, 0
	o.resyncs[why]++
	o.lastResync = why
	o.resumeAt = now
	if o.began > 0 {
		o.resumeAt = max(now, o.began+resyncSpacing<<min(o.attempts, 7))
	}
}

// begin starts the epoch that was announced.
func (o *outgoing) begin(now time.Duration) {
	o.phase, o.began, o.progress = telling, max(now, 1), now
	o.attempts++
	for _, l := range o.lanes {
		l.open(now)
	}
}

// rescope is for a host that holds other VIPs now, lost among those that it held.
func (o *outgoing) rescope(now time.Duration, lost []record.Address) {
	if len(lost) > 0 {
		o.lingering = sorted(append(o.lingering, lost...))
		o.lingerEnd = now + lingerFor
	}
	held := vipsOf(o.e.scope)
	o.lingering = held.without(o.lingering)
	if o.phase != telling {
		return
	}
	o.scopeMark = 0
	o.flush = true // the news of what is given up come before the word that it is
	for _, l := range o.lanes {
		l.audit(now)
	}
}

// ack takes in what the peer acknowledges.
func (o *outgoing) ack(now time.Duration, a wire.Ack) {
	for _, lag := range o.sender.Ack(o.e.time(now), a) {
		o.lag.add(now, lag)
	}
	if o.phase != telling || a.Epoch != o.sender.Epoch() || a.Next <= o.acked || a.Next > o.pushed+1 {
		return
	}
	o.acked, o.progress = a.Next, now
	if !o.covered && o.coverMark > 0 && o.acked > o.coverMark {
		o.covered, o.attempts = true, 0
		o.resyncTook = now - o.began
	}
	if o.covered && o.scopeMark > 0 && o.acked > o.scopeMark {
		o.lingering = nil
	}
}

// expire forgets what has lingered for long enough, whether there is anybody to tell or not.
func (o *outgoing) expire(now time.Duration) {
	if len(o.lingering) > 0 && now >= o.lingerEnd {
		o.lingering = nil
	}
}

// step does what is due. heard reports whether the peer is there.
func (o *outgoing) step(now time.Duration, heard bool) {
	switch o.phase {
	case telling:
		if why, ok := o.failed(now, heard); ok {
			o.renew(now, why)
		}
	case resting:
		if heard && now >= o.resumeAt {
			o.begin(now)
		}
	case idle:
	}
	if o.phase == telling {
		o.pump(now)
	}
	o.sender.Tick(o.e.time(now))
}

// failed reports whether the epoch cannot go on, and why.
func (o *outgoing) failed(now time.Duration, heard bool) (Reason, bool) {
	for _, l := range o.lanes {
		if _, overflown := l.waiting(); overflown {
			return ReasonOverflow, true
		}
	}
	switch {
	case !heard:
		return ReasonSilent, true
	case o.acked > o.pushed:
		o.progress = now // nothing is to be acknowledged
	case now-max(o.progress, o.e.awake) >= stallAfter:
		return ReasonStalled, true
	}
	return "", false
}

// pump fills batches with what is due while the stream takes them.
func (o *outgoing) pump(now time.Duration) {
	for range stepBatches {
		if at, ok := o.dueAt(); !ok || now < at || o.sender.Room() == 0 {
			break
		}
		o.writer.Reset()
		changes, oldest := o.fill(now)
		if o.writer.Len() == 0 {
			break
		}
		b := stream.Batch{Payload: append([]byte(nil), o.writer.Groups()...), Changes: changes}
		if changes > 0 {
			b.Oldest = o.e.time(oldest)
		}
		o.sender.Push(b)
		o.pushed++
		o.mark()
	}
	if o.backlog() == 0 {
		o.flush = false
	}
}

// fill writes a batch: what walks have read before, then news, then more of the walks.
func (o *outgoing) fill(now time.Duration) (changes int, oldest time.Duration) {
	for _, l := range o.lanes {
		if l.writeRest(now, o.writer) {
			return 0, 0
		}
	}
	for _, l := range o.lanes {
		n, at, full := l.writeNews(now, o.writer, o.flush)
		if n > 0 && (changes == 0 || at < oldest) {
			oldest = at
		}
		changes += n
		if full {
			return changes, oldest
		}
	}
	p := o.plan()
	for _, l := range o.lanes {
		if l.writeWalk(now, o.writer, p) {
			break
		}
	}
	return changes, oldest
}

// plan says what walks tell. What lingers is owed to a peer that did not get all.
func (o *outgoing) plan() plan {
	p := plan{told: o.e.scope, read: o.e.scope, room: o.room, pace: o.e.pace}
	if !o.covered && len(o.lingering) > 0 {
		p.read = append(append([]record.Address(nil), p.read...), o.lingering...)
	}
	return p
}

// mark remembers the batch just pushed if it completes something.
func (o *outgoing) mark() {
	walked, announced := true, true
	for _, l := range o.lanes {
		walked = walked && l.walked()
		announced = announced && l.announced()
	}
	if walked && o.coverMark == 0 {
		o.coverMark = o.pushed
	}
	if announced && o.scopeMark == 0 {
		o.scopeMark = o.pushed
	}
}

// dueAt is when a batch is to be filled; false if there is nothing to tell.
func (o *outgoing) dueAt() (at time.Duration, ok bool) {
	if o.phase != telling {
		return 0, false
	}
	at = o.lanes[0].walkAt()
	for _, l := range o.lanes {
		at = min(at, l.walkAt())
		if due, ok := l.newsAt(); ok {
			if o.flush {
				due = 0
			}
			at = min(at, due)
		}
	}
	return at, true
}

// backlog is how many changes wait in the outboxes.
func (o *outgoing) backlog() (n int) {
	for _, l := range o.lanes {
		waiting, _ := l.waiting()
		n += waiting
	}
	return n
}

// expiry adds when expire is due.
func (o *outgoing) expiry(at *earliest) {
	if len(o.lingering) > 0 {
		at.add(o.lingerEnd)
	}
}

// deadline adds when step is due.
func (o *outgoing) deadline(at *earliest, heard bool) {
	switch {
	case o.phase == resting && heard:
		at.add(o.resumeAt)
	case o.phase == telling:
		if due, ok := o.dueAt(); ok && o.sender.Room() > 0 {
			at.add(due)
		}
		if o.acked <= o.pushed {
			at.add(max(o.progress, o.e.awake) + stallAfter)
		}
	}
	if d := o.sender.Deadline(); !d.IsZero() {
		at.add(o.e.since(d))
	}
}
