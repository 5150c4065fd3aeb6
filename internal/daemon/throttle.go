package daemon

import "time"

// throttle lets through one of each kind per period and counts the rest. The
// kinds must be few: it keeps an entry for each.
type throttle struct {
	every time.Duration
	kinds map[string]*throttled
}

type throttled struct {
	last time.Time
	held uint64
}

// pass reports whether this one may go through, and how many were held since the
// last that did.
func (t *throttle) pass(now time.Time, kind string) (held uint64, ok bool) {
	if t.kinds == nil {
		t.kinds = make(map[string]*throttled)
	}
	k, known := t.kinds[kind]
	if !known {
		t.kinds[kind] = &throttled{last: now}
		return 0, true
	}
	if now.Sub(k.last) < t.every {
		k.held++
		return 0, false
	}
	held, k.held, k.last = k.held, 0, now
	return held, true
}
