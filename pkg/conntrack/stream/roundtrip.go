// SPDX-License-Identifier: Apache-2.0

package stream

import "time"

// The bounds of the retransmission timeout, and what it is before the first ack.
const (
	minTimeout     = 5 * time.Millisecond
	maxTimeout     = time.Second
	initialTimeout = 20 * time.Millisecond
)

// roundTrip estimates the time until an ack as RFC 6298 section 2 does, with bounds
// for a short link: its lower bound of a second is for the Internet.
type roundTrip struct {
	smooth, vary time.Duration // SRTT and RTTVAR; 0 before the first sample
	least        time.Duration // the shortest
}

func (r *roundTrip) sample(d time.Duration) {
	d = max(d, 1) // 0 stands for none
	if r.least > 0 {
		// What takes much longer has waited for an ack that was lost. If it counted,
		// the timeout would grow with the loss, and the next sample with the timeout.
		d = min(d, 2*(r.least+ackInterval))
	}
	if r.smooth == 0 {
		r.smooth, r.vary, r.least = d, d/2, d
		return
	}
	r.least = min(r.least, d)
	r.vary += ((r.smooth - d).Abs() - r.vary) / 4
	r.smooth += (d - r.smooth) / 8
}

// timeout is how long acks may stand still. It doubles with each timeout before it
// that nothing has answered, but for the first two: loss alone makes them.
func (r *roundTrip) timeout(silent int) time.Duration {
	d := initialTimeout
	if r.smooth > 0 {
		d = min(max(r.smooth+4*r.vary, minTimeout), maxTimeout)
	}
	doublings := min(max(silent-2, 0), 8) // 5 ms << 8 is above the upper bound
	return min(d<<doublings, maxTimeout)
}

// patience is how long a batch that was sent again may be on its way and be reported
// missing nevertheless, because the report was on its way too. It is measured by the
// shortest round trip: the smoothed one is longer while there is loss, for then acks
// are late, and whoever waits for them that long falls ever further behind.
func (r *roundTrip) patience() time.Duration {
	if r.least == 0 {
		return initialTimeout
	}
	return r.least + r.least/4 + gapAge
}
