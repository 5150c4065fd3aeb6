// SPDX-License-Identifier: Apache-2.0

package membership

import "time"

const (
	// interval is the time between hellos when nothing happens.
	interval = 100 * time.Millisecond
	// gap is the least time between hellos, and that between the repetitions of
	// one that has news: a datagram may be lost, and so may one right behind it.
	gap = 5 * time.Millisecond
	// repetitions of a hello that has news.
	repetitions = 3
)

// cadence says when hellos are due. The zero cadence has one due at once.
type cadence struct {
	last, next time.Time
	// repeat is how many more are due at the gap.
	repeat int
}

// due reports whether a hello is due.
func (c *cadence) due(now time.Time) bool { return !now.Before(c.next) }

// sent notes that one was sent, or was due with nothing to say.
func (c *cadence) sent(now time.Time) {
	c.last, c.next = now, now.Add(interval)
	if c.repeat > 0 {
		c.repeat--
		c.next = now.Add(gap)
	}
}

// soon has the next hello sent as early as the gap allows. Someone is there who
// has not heard of us.
func (c *cadence) soon(now time.Time) {
	at := now
	if earliest := c.last.Add(gap); earliest.After(at) {
		at = earliest
	}
	if at.Before(c.next) {
		c.next = at
	}
}

// news has a hello sent as early as the gap allows, and repeated.
func (c *cadence) news(now time.Time) {
	c.soon(now)
	c.repeat = repetitions
}
