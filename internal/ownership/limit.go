// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net/netip"
	"time"
)

const (
	// mendsPerSecond is how often one address is corrected within a second.
	mendsPerSecond = 5
	// reannouncePause is the least time between two answers to rival claims. A
	// rival that answers each of ours must not make a storm.
	reannouncePause = 100 * time.Millisecond

	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// spot is an address on an interface.
type spot struct {
	iface string
	addr  netip.Addr
}

// budget counts the corrections of one spot within a second.
type budget struct {
	start time.Time
	used  int
	// told is true once Contested has been reported for this second.
	told bool
}

// budgets limits corrections per spot.
type budgets map[spot]*budget

// left reports whether the spot may be corrected now. If not, until says when
// again, and first is true once per period.
func (b budgets) left(s spot, now time.Time) (ok bool, until time.Time, first bool) {
	have := b[s]
	if have == nil || now.Sub(have.start) >= time.Second {
		delete(b, s)
		return true, time.Time{}, false
	}
	if have.used < mendsPerSecond {
		return true, time.Time{}, false
	}
	first = !have.told
	have.told = true
	return false, have.start.Add(time.Second), first
}

// spend counts a correction.
func (b budgets) spend(s spot, now time.Time) {
	if b[s] == nil {
		b[s] = &budget{start: now}
	}
	b[s].used++
}

// backoff paces retries.
type backoff struct {
	pause time.Duration
	at    time.Time
}

// fail sets the time of the next try and returns how long it is until then.
func (b *backoff) fail(now time.Time) time.Duration {
	b.pause = min(max(2*b.pause, firstRetry), lastRetry)
	b.at = now.Add(b.pause)
	return b.pause
}

// reset forgets past failures.
func (b *backoff) reset() { *b = backoff{} }

// pending reports whether a try is to come.
func (b *backoff) pending() bool { return !b.at.IsZero() }
