// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// ErrOverrun says that events were lost, as the kernel had no room for them. What was
// queued is passed over too. Whoever reads has to walk over the table, which tells all
// that is missing; what happens from now on is told again.
var ErrOverrun = errors.New("conntrack events were lost")

// Event is news of an entry.
type Event struct {
	// Gone: there is no such entry any more, or none that would be wanted. Then Entry has
	// no more than its Key.
	Gone  bool
	Entry record.Entry
}

// Options are how to follow the table.
type Options struct {
	Filter Filter
	// Buffer is how many bytes of events may wait to be read, as the kernel counts them,
	// 1 KiB or so for an event: at least 8 MiB for a busy host.
	Buffer int
	// Labels: the rules of this host set labels (connlabels). Events carry them only when
	// they change, so that every entry is then asked for once more.
	Labels bool
}

// Figures count what has become of events that passed the socket filter.
type Figures struct {
	// Told and Gone were news, Ignored were none.
	Told, Gone, Ignored uint64
	// Incomplete were asked for again.
	Incomplete uint64
	// Unsupported could not be replicated: see ErrZone.
	Unsupported uint64
	// Malformed were not understood.
	Malformed uint64
	// Overruns: see ErrOverrun.
	Overruns uint64
}

// Events follows the table. It belongs to one goroutine at a time, that of the Table.
//
// It is to be read every few milliseconds, and nobody waits for it: to be woken up for
// every event costs more than to read it.
type Events struct {
	fd      int
	table   *Table
	options Options

	in     *reader
	report Report
	event  Event
	// ask are the entries of which too little was told.
	ask []record.EntryKey
	// overrun: events were lost, and what was queued has not all been passed over yet.
	overrun bool
	figures Figures
}

// conntrackGroups are the multicast groups' bits.
const (
	groupNew     = 1 << (unix.NFNLGRP_CONNTRACK_NEW - 1)
	groupUpdate  = 1 << (unix.NFNLGRP_CONNTRACK_UPDATE - 1)
	groupDestroy = 1 << (unix.NFNLGRP_CONNTRACK_DESTROY - 1)
)

// Subscribe begins to follow the table of the calling thread's network namespace,
// which must be that of table. What table itself changes is no news.
//
// Entries make events only if nf_conntrack_events is not 0 when they are created.
func Subscribe(table *Table, options Options) (*Events, error) {
	fd, err := openSocket(options.Buffer)
	if err != nil {
		return nil, err
	}
	if err := subscribe(fd, table, &options.Filter); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Events{fd: fd, table: table, options: options, in: newReader()}, nil
}

// subscribe attaches the socket filter first, so that nothing gets around it.
func subscribe(fd int, table *Table, filter *Filter) error {
	program := socketFilter(filter, table.port, true)
	if len(program) > maxInstructions {
		program = socketFilter(filter, table.port, false)
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		return fmt.Errorf("filter conntrack events: %w", err)
	}
	groups := uint32(groupUpdate | groupDestroy)
	if filter.wantsNew() {
		groups |= groupNew
	}
	_, err := bind(fd, groups)
	return err
}

// Close ends it.
func (e *Events) Close() error { return unix.Close(e.fd) }

// Figures returns the counts so far.
func (e *Events) Figures() Figures { return e.figures }

// MaxRead is how many events a Read takes at most: after fewer, no more waited.
const MaxRead = slots

// Read calls each for what is news among the events that wait, 64 at most, in order;
// those of which the kernel had told too little come last, as they are now. The event
// is valid only meanwhile, and each must not use the Table. Read returns how many events
// there were; none means that nothing waits. It never blocks.
//
// After ErrOverrun and before the walk, Read again until it returns another result:
// until then the queue is not empty, and the kernel drops further events.
func (e *Events) Read(each func(*Event)) (int, error) {
	if e.overrun {
		return 0, e.passOver()
	}
	n, err := e.in.read(e.fd)
	if errors.Is(err, unix.ENOBUFS) {
		return 0, e.lost()
	}
	if err != nil {
		return 0, fmt.Errorf("read conntrack events: %w", err)
	}
	e.ask = e.ask[:0]
	for slot := range n {
		datagram, err := e.in.datagram(slot)
		if err != nil {
			return 0, e.lost()
		}
		for m := range nlmsg.Messages(datagram) {
			e.handle(m, each)
		}
	}
	return n, e.complete(each)
}

func (e *Events) lost() error {
	e.figures.Overruns++
	e.overrun = true
	return e.passOver()
}

// passOverReads bounds how many datagrams are passed over at once, to 64 times as many.
const passOverReads = 1024

// passOver drops what is queued, all of which is older than the walk that has to
// follow: until the queue is empty the kernel drops events and says so only once.
func (e *Events) passOver() error {
	for range passOverReads {
		n, err := e.in.read(e.fd)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("read conntrack events: %w", err)
		}
		if n == 0 && err == nil {
			e.overrun = false
			break
		}
	}
	return ErrOverrun
}

// handle passes one message on, or notes that its entry has to be asked for.
func (e *Events) handle(m nlmsg.Message, each func(*Event)) {
	if m.Port == e.table.port {
		e.figures.Ignored++
		return
	}
	switch err := Decode(m, &e.report); {
	case errors.Is(err, ErrZone):
		e.figures.Unsupported++
		return
	case err != nil:
		e.figures.Malformed++
		return
	}
	switch e.options.Filter.judge(&e.report, e.options.Labels) {
	case ignored:
		e.figures.Ignored++
	case incomplete:
		e.figures.Incomplete++
		e.ask = append(e.ask, e.report.Entry.Key)
	case told:
		e.figures.Told++
		e.event = Event{Entry: e.report.Entry}
		each(&e.event)
	case gone:
		e.figures.Gone++
		e.event = Event{Gone: true, Entry: record.Entry{Key: e.report.Entry.Key}}
		each(&e.event)
	}
}

// complete asks for the entries of which too little was told. What has come to an end
// meanwhile is not answered; an event tells of that.
func (e *Events) complete(each func(*Event)) error {
	if len(e.ask) == 0 {
		return nil
	}
	return e.table.Get(e.ask, func(_ int, entry *record.Entry) {
		if e.options.Filter.Wants(entry) {
			e.figures.Told++
			e.event = Event{Entry: *entry}
			each(&e.event)
		}
	})
}
