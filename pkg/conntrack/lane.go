// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"slices"
	"time"

	"hafast/pkg/conntrack/wire"
)

// lane is what one peer is to be told of one table: news, and walks over all of it.
type lane[K comparable, R any] struct {
	kind   *kind[K, R]
	table  Table[R]
	on     bool // the peer replicates the table too
	outbox *Outbox[K, R]
	walk   walk[R]
	// first: the first walk of the epoch has been told.
	first bool
	aged  R // the record in hand
	// recent are records that an audit has just told. Of a resync all are, until a moment
	// after it.
	recent    recent[K]
	bulkUntil time.Duration
	// newer are records of which news have come since a walk may have read them.
	newer   recent[K]
	figures Told
}

// teller is a lane of whichever table.
type teller interface {
	open(now time.Duration)
	close()
	audit(now time.Duration)
	newsAt() (time.Duration, bool)
	walkAt() time.Duration
	writeRest(now time.Duration, w *wire.BatchWriter) (full bool)
	writeNews(now time.Duration, w *wire.BatchWriter, all bool) (n int, oldest time.Duration, full bool)
	writeWalk(now time.Duration, w *wire.BatchWriter, p plan) (full bool)
	waiting() (n int, overflown bool)
	walked() bool
	announced() bool
	oldest() (time.Duration, bool)
	told() (Told, error)
}

func newLane[K comparable, R any](k *kind[K, R], t Table[R], limit int) *lane[K, R] {
	return &lane[K, R]{
		kind: k, table: t, outbox: NewOutbox[K, R](limit),
		recent: recent[K]{span: recentFor}, newer: recent[K]{span: newerFor},
	}
}

// put adds news.
func (l *lane[K, R]) put(now time.Duration, news News, r *R) {
	key := l.kind.key(r)
	if news == Created && (now < l.bulkUntil || l.recent.has(now, key)) {
		news = Changed // a walk was faster, and the peer has it
	}
	if l.kind.ahead && l.walk.reader != nil {
		l.newer.add(now, key)
	}
	l.outbox.Put(now, news, key, r, l.kind.gone(r))
}

// open begins an epoch: all of the table is to be told.
func (l *lane[K, R]) open(now time.Duration) {
	l.close()
	l.walk.start(now, false)
}

// close ends an epoch.
func (l *lane[K, R]) close() {
	l.outbox.Reset()
	l.walk.stop()
	l.first = false
}

// audit has a walk begin anew, at its pace if the first one has been told.
func (l *lane[K, R]) audit(now time.Duration) { l.walk.start(now, l.first) }

func (l *lane[K, R]) waiting() (int, bool) { return l.outbox.Len(), l.outbox.Overflown() }

// oldest is when the change was that waits longest; false if none does.
func (l *lane[K, R]) oldest() (time.Duration, bool) { return l.outbox.Oldest() }

// told returns the figures, and why the last walk could not be finished.
func (l *lane[K, R]) told() (Told, error) {
	f := l.figures
	f.Skipped = l.outbox.Skipped()
	return f, l.walk.err
}

// walked reports whether the first walk of the epoch has been told.
func (l *lane[K, R]) walked() bool { return l.first }

// announced reports whether the current scope has been told: no walk waits to begin.
func (l *lane[K, R]) announced() bool { return !l.walk.active || l.walk.begun }

// newsAt is when news are to leave. It is false if there are none.
func (l *lane[K, R]) newsAt() (time.Duration, bool) {
	oldest, ok := l.outbox.Oldest()
	return oldest + l.kind.delay, ok
}

// walkAt is when a walk goes on, or the next one begins. What has been read goes at
// once.
func (l *lane[K, R]) walkAt() time.Duration {
	if len(l.walk.rest) > 0 {
		return l.walk.readAt
	}
	return l.walk.due
}

// writeNews writes what has waited long enough in the outbox, or all. oldest is the time
// of the oldest change.
func (l *lane[K, R]) writeNews(now time.Duration, w *wire.BatchWriter, all bool) (n int, oldest time.Duration, full bool) {
	for s := l.outbox.front(); s != nil && (all || now >= s.first+l.kind.delay); s = l.outbox.front() {
		op := wire.Set
		if s.news == Deleted {
			op = wire.Delete
		} else {
			l.kind.age(&s.record, now-s.last)
			s.last = now
		}
		if !l.kind.write(w, op, &s.record) {
			full = true
			break
		}
		if n == 0 {
			oldest = s.first
		}
		n++
		l.outbox.pop()
	}
	l.figures.News += uint64(n)
	l.walk.told += uint64(n)
	return n, oldest, full
}

// writeRest writes what a walk has read before: it is older than the news that wait.
func (l *lane[K, R]) writeRest(now time.Duration, w *wire.BatchWriter) (full bool) {
	k := &l.walk
	op := wire.Set
	if k.audit {
		op = wire.Audit
	}
	for ; len(k.rest) > 0; k.rest = k.rest[1:] {
		r := &k.rest[0]
		l.aged = *r
		l.kind.age(&l.aged, now-k.readAt)
		if !l.kind.write(w, op, &l.aged) {
			return true
		}
		k.told++
		l.figures.Walked++
	}
	return false
}

// writeWalk goes on with a walk: one of a resync until the batch is full, an audit by
// one piece. All news that do not wait have been written before.
func (l *lane[K, R]) writeWalk(now time.Duration, w *wire.BatchWriter, p plan) (full bool) {
	k := &l.walk
	if now < k.due {
		return false
	}
	if !k.active {
		k.start(now, l.first)
	}
	if !k.begun {
		if !w.Begin(wire.Begin{Table: l.kind.table, Generation: k.generation, Scope: p.told}) {
			return true
		}
		k.begun, k.told = true, 0
		k.ended = len(p.read) == 0
		if !k.ended {
			k.reader = l.table.Walk(p.read)
			l.newer.reset()
		}
	}
	for !k.ended {
		if err := k.read(now, (p.room-w.Len())/l.kind.size); err != nil {
			k.fail(now, err)
			return false
		}
		n := len(k.rest)
		if n == 0 && !k.ended {
			k.due = now + walkPause
			return full
		}
		l.drop(now)
		l.remember(now)
		if l.writeRest(now, w) {
			full = true
		}
		if k.audit {
			k.pace(now, n, p.pace)
			if k.ended {
				k.due = max(k.due, now+endDelay)
			}
			return full
		}
		if full {
			return true
		}
	}
	if !w.End(wire.End{Table: l.kind.table, Generation: k.generation, Count: k.told}) {
		return true
	}
	k.finish(now, p.pace.period)
	l.first = true
	l.figures.Walks++
	return false
}

// drop leaves out of what a walk has read the records of which there have been news
// since: these have been told, or will be, and what was read may be older.
func (l *lane[K, R]) drop(now time.Duration) {
	if !l.newer.any() {
		return
	}
	l.walk.rest = slices.DeleteFunc(l.walk.rest, func(r R) bool { return l.newer.has(now, l.kind.key(&r)) })
}

// remember notes what a walk has just read.
func (l *lane[K, R]) remember(now time.Duration) {
	if !l.walk.audit {
		l.bulkUntil = now + recentFor
		if l.outbox.Len() == 0 {
			return
		}
	}
	for i := range l.walk.rest {
		key := l.kind.key(&l.walk.rest[i])
		l.outbox.Known(key)
		if l.walk.audit {
			l.recent.add(now, key)
		}
	}
}
