package conntrack

import "time"

// recentFor is how long a record that an audit has read is remembered. News of it may
// be that late.
const recentFor = 100 * time.Millisecond

// recent remembers keys for a while, once to twice recentFor.
type recent[K comparable] struct {
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
	if len(r.young) == 0 && len(r.old) == 0 {
		return false
	}
	_, young := r.young[key]
	_, old := r.old[key]
	return young || old
}

func (r *recent[K]) turn(now time.Duration) {
	if now < r.until {
		return
	}
	r.young, r.old = r.old, r.young
	clear(r.young)
	if now >= r.until+recentFor {
		clear(r.old)
	}
	r.until = now + recentFor
}
