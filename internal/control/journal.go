// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"sync"
)

// DefaultJournalSize is how many events a Journal keeps when not told otherwise.
const DefaultJournalSize = 1024

// subscriberBuffer is how many events a subscriber may be behind before it loses
// some. It is larger than a burst at start-up of an ordinary host and small
// beside the ring.
const subscriberBuffer = 256

// Journal is a bounded ring of events. The zero value keeps DefaultJournalSize
// events. It is safe for concurrent use, and none of its methods waits for
// anybody.
type Journal struct {
	mu   sync.Mutex
	size int
	// ring holds the newest events; once it has grown to size, the event with
	// sequence number s lives at index (s-1) % size.
	ring []Event
	last uint64
	subs map[chan Event]struct{}
}

// NewJournal returns a journal of the size newest events; a size of zero or less
// means DefaultJournalSize.
func NewJournal(size int) *Journal {
	return &Journal{size: size}
}

// Append stores ev under the next sequence number, which starts at 1, and
// returns it as it was stored. The caller sets Time: the journal has no clock.
func (j *Journal) Append(ev Event) Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.size <= 0 {
		j.size = DefaultJournalSize
	}
	j.last++
	ev.Seq = j.last
	if len(j.ring) < j.size {
		j.ring = append(j.ring, ev)
	} else {
		j.ring[(ev.Seq-1)%uint64(j.size)] = ev
	}
	for ch := range j.subs {
		select {
		case ch <- ev:
		default: // Behind by a whole buffer: it loses this one, see Subscribe.
		}
	}
	return ev
}

// Since returns the kept events whose Seq is greater than seq, oldest first.
// Fewer than expected come back when the ring has overwritten the older ones,
// which shows as a first Seq above seq+1.
func (j *Journal) Since(seq uint64) []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	oldest := j.last - uint64(len(j.ring)) // The Seq just below the oldest kept one.
	seq = max(seq, oldest)
	if seq >= j.last {
		return nil
	}
	events := make([]Event, 0, j.last-seq)
	for s := seq + 1; s <= j.last; s++ {
		events = append(events, j.ring[(s-1)%uint64(len(j.ring))])
	}
	return events
}

// Subscribe returns a channel that carries every event appended from now on,
// and is closed once ctx is done. A subscriber that falls behind by more than
// the channel's buffer loses events rather than holding up the daemon: it sees a
// Seq that is not the successor of the last one, and can read what it missed
// with Since, as long as the ring still has it.
func (j *Journal) Subscribe(ctx context.Context) <-chan Event {
	ch := make(chan Event, subscriberBuffer)
	j.mu.Lock()
	if j.subs == nil {
		j.subs = make(map[chan Event]struct{})
	}
	j.subs[ch] = struct{}{}
	j.mu.Unlock()

	// Append sends under the same lock, so it never meets a closed channel.
	context.AfterFunc(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.subs, ch)
		close(ch)
	})
	return ch
}
