// SPDX-License-Identifier: Apache-2.0

// Package throttle keeps a log readable while the same thing goes wrong again and again.
package throttle

import (
	"log/slog"
	"time"
)

// Period is that of a Throttle that names none.
const Period = 10 * time.Second

// Throttle lets through one of each kind per period and counts the rest. The zero value
// is ready for use, by one goroutine at a time. The kinds must be few: it keeps an entry
// for each.
type Throttle struct {
	Every time.Duration // 0: Period
	kinds map[string]*kind
}

type kind struct {
	last time.Time
	held uint64
}

// Pass reports whether one of a kind may go through at the time now, and how many were
// held since the last that did.
func (t *Throttle) Pass(now time.Time, name string) (held uint64, ok bool) {
	if t.kinds == nil {
		t.kinds = make(map[string]*kind)
	}
	k, known := t.kinds[name]
	if !known {
		t.kinds[name] = &kind{last: now}
		return 0, true
	}
	every := t.Every
	if every == 0 {
		every = Period
	}
	if now.Sub(k.last) < every {
		k.held++
		return 0, false
	}
	held, k.held, k.last = k.held, 0, now
	return held, true
}

// Error logs what went wrong unless it has just been logged. What it says is its kind.
func (t *Throttle) Error(log *slog.Logger, what string, err error) {
	if held, ok := t.Pass(time.Now(), what); ok {
		log.Error(what, "error", err, "unreported", held)
	}
}
