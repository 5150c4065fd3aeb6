// SPDX-License-Identifier: Apache-2.0

package conntrack

import "time"

const (
	// recentFor is how long a record that an audit has read is remembered. News of it may
	// be that late.
	recentFor = 100 * time.Millisecond
	// newerFor is how long news are remembered of a record that a walk may have read
	// before, and not handed over yet: see Walker.
	newerFor = 2 * time.Second
)

// recent remembers keys for a while, once to twice its span.
type recent[K comparable] struct {
	span       time.Duration
	young, old map[K]struct{}
	until      time.Duration // when the young grow old
}

func (r *recent[K]) add(now time.Duration, key K) {
	r.turn(now)
	if r.young == nil {
		r.young = map[K]struct{}{}
	}
	r.young[key] = struct{}{}
}

func (r *recent[K]) has(now time.Duration, key K) bool {
	r.turn(now)
	if !r.any() {
		return false
	}
	_, young := r.young[key]
	_, old := r.old[key]
	return young || old
}

// any reports whether it may remember something.
func (r *recent[K]) any() bool { return len(r.young)+len(r.old) > 0 }

func (r *recent[K]) turn(now time.Duration) {
	if now < r.until {
		return
	}
	r.young, r.old = r.old, r.young
	clear(r.young)
	if now >= r.until+r.span {
		clear(r.old)
	}
	r.until = now + r.span
}

// reset forgets all.
func (r *recent[K]) reset() {
	clear(r.young)
	clear(r.old)
}
