// SPDX-License-Identifier: Apache-2.0

package conntrack

import "time"

// News says what a change did to a record.
type News uint8

// The news there are.
const (
	// Created: it is new, and no peer can have it.
	Created News = iota + 1
	// Changed: it is otherwise now.
	Changed
	// Deleted: it is gone; of the record only the key counts.
	Deleted
)

// Outbox holds changes of a table until they leave for a peer, in the order in which
// their records first changed. Of several changes of a record the last one leaves; a
// record that came and went meanwhile does not leave at all. It holds a bounded number
// of records: what comes beyond makes it overflow, and then it is empty until Reset.
type Outbox[K comparable, R any] struct {
	limit int
	// index has the positions of the records in the ring, which are numbers that only
	// ever grow: the slot is the number's low bits.
	index map[K]uint64
	ring  []slot[K, R]
	// head is the position of the oldest slot, tail the one after the youngest's.
	head, tail uint64
	overflown  bool
	skipped    uint64
}

// slot is a record in the outbox. Times are counted from the engine's start.
type slot[K comparable, R any] struct {
	key    K
	record R
	// first is when the first of its changes was, last that of the last.
	first, last time.Duration
	news        News
	void        bool // it came and went
}

// NewOutbox returns an empty outbox for at most limit records.
func NewOutbox[K comparable, R any](limit int) *Outbox[K, R] {
	return &Outbox[K, R]{limit: limit, index: make(map[K]uint64)}
}

// Put adds a change. gone says that a record which the peer does not have yet need not
// be told any more; Deleted says so by itself. An overflown outbox takes nothing.
func (o *Outbox[K, R]) Put(now time.Duration, news News, key K, record *R, gone bool) {
	if o.overflown {
		return
	}
	if at, ok := o.index[key]; ok {
		o.merge(o.slot(at), now, news, record, gone)
		return
	}
	if len(o.index) >= o.limit {
		o.Reset()
		o.overflown = true
		return
	}
	o.push(slot[K, R]{key: key, record: *record, first: now, last: now, news: news})
}

// merge joins a change to the one that waits already.
func (o *Outbox[K, R]) merge(s *slot[K, R], now time.Duration, news News, record *R, gone bool) {
	switch {
	case s.news == Created && (news == Deleted || gone):
		delete(o.index, s.key)
		s.void = true
		o.skipped++
		o.trim()
		return
	case s.news == Created:
		news = Created
	case news == Created:
		// The peer has what went by this name before.
		news = Changed
	}
	s.news, s.record, s.last = news, *record, now
}

// Known says that the peer is told of a record by another way: if it waits, what becomes
// of it has to be told too.
func (o *Outbox[K, R]) Known(key K) {
	if at, ok := o.index[key]; ok && o.slot(at).news == Created {
		o.slot(at).news = Changed
	}
}

func (o *Outbox[K, R]) slot(at uint64) *slot[K, R] {
	return &o.ring[at&uint64(len(o.ring)-1)]
}

func (o *Outbox[K, R]) push(s slot[K, R]) {
	if o.tail-o.head == uint64(len(o.ring)) {
		o.grow()
	}
	*o.slot(o.tail) = s
	o.index[s.key] = o.tail
	o.tail++
}

// grow makes room: by leaving out void slots if they are many, otherwise by a ring of
// twice the size.
func (o *Outbox[K, R]) grow() {
	size := len(o.ring)
	if len(o.index) >= size/2 {
		size = max(64, 2*size)
	}
	old, from, to := o.ring, o.head, o.tail
	o.ring, o.head, o.tail = make([]slot[K, R], size), 0, 0
	for at := from; at < to; at++ {
		s := &old[at&uint64(len(old)-1)]
		if s.void {
			continue
		}
		*o.slot(o.tail) = *s
		o.index[s.key] = o.tail
		o.tail++
	}
}

// trim drops void slots from the front.
func (o *Outbox[K, R]) trim() {
	for o.head < o.tail && o.slot(o.head).void {
		o.head++
	}
}

// front returns the oldest record; nil if there is none. It is good until the outbox
// changes.
func (o *Outbox[K, R]) front() *slot[K, R] {
	if o.head == o.tail {
		return nil
	}
	return o.slot(o.head)
}

// pop drops the front.
func (o *Outbox[K, R]) pop() {
	delete(o.index, o.slot(o.head).key)
	o.head++
	o.trim()
}

// Len is the number of records that wait.
func (o *Outbox[K, R]) Len() int { return len(o.index) }

// Oldest is when the change was that waits longest; false if none does.
func (o *Outbox[K, R]) Oldest() (time.Duration, bool) {
	if s := o.front(); s != nil {
		return s.first, true
	}
	return 0, false
}

// Skipped is how many records came and went, ever.
func (o *Outbox[K, R]) Skipped() uint64 { return o.skipped }

// Overflown reports whether changes were lost since the last Reset.
func (o *Outbox[K, R]) Overflown() bool { return o.overflown }

// Reset empties the outbox. A large ring is given back.
func (o *Outbox[K, R]) Reset() {
	clear(o.index)
	if len(o.ring) > shrinkAbove {
		o.ring, o.index = nil, make(map[K]uint64)
	}
	o.head, o.tail, o.overflown = 0, 0, false
}

// shrinkAbove is the size of a ring, in records, that is worth giving back.
const shrinkAbove = 4096
