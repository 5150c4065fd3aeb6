// SPDX-License-Identifier: Apache-2.0

package conntrack

import "time"

const (
	// suspectFor is how long the news of a record may be behind the audit that told it
	// first.
	suspectFor = time.Second
	// maxSuspects is how many records are suspected at a time; beyond that, they are
	// taken for diverged at once.
	maxSuspects = 4096
)

// suspects are records that an audit has found missing or different. If news of one
// come soon, the audit was only earlier, as it may be while a change is being told;
// otherwise the change was lost, and the tables had diverged.
type suspects[K comparable] struct {
	since map[K]time.Duration
	queue []suspect[K]
}

type suspect[K comparable] struct {
	key   K
	at    time.Duration
	count *uint64 // of the divergence that it is
}

// add suspects a record of a divergence that count counts.
func (s *suspects[K]) add(now time.Duration, key K, count *uint64) {
	if len(s.queue) >= maxSuspects {
		*count++
		return
	}
	if s.since == nil {
		s.since = map[K]time.Duration{}
	}
	s.since[key] = now
	s.queue = append(s.queue, suspect[K]{key, now, count})
}

// clear is for a record whose news have come.
func (s *suspects[K]) clear(key K) {
	if len(s.since) > 0 {
		delete(s.since, key)
	}
}

// settle counts those that have been suspected for long enough.
func (s *suspects[K]) settle(now time.Duration) {
	n := 0
	for ; n < len(s.queue) && now-s.queue[n].at >= suspectFor; n++ {
		q := &s.queue[n]
		if at, ok := s.since[q.key]; ok && at == q.at {
			*q.count++
			delete(s.since, q.key)
		}
	}
	s.queue = append(s.queue[:0], s.queue[n:]...)
}

// deadline adds when settle is due.
func (s *suspects[K]) deadline(at *earliest) {
	if len(s.queue) > 0 {
		at.add(s.queue[0].at + suspectFor)
	}
}
