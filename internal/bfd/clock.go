// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clock reads CLOCK_MONOTONIC the cheap way. The time package does so without a
// system call, but does not tell where zero is.
type clock struct {
	base   time.Time
	offset time.Duration // of base, since the zero of CLOCK_MONOTONIC
}

func newClock() (*clock, error) {
	var c clock
	best := time.Duration(-1)
	// The two clocks are read one after the other; the closest pair counts.
	for range 8 {
		var ts unix.Timespec
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			return nil, fmt.Errorf("read clock: %w", err)
		}
		if gap := time.Since(before); best < 0 || gap < best {
			best = gap
			c = clock{base: before.Add(gap / 2), offset: time.Duration(ts.Nano())}
		}
	}
	return &c, nil
}

// now is the time since the zero of CLOCK_MONOTONIC.
func (c *clock) now() time.Duration { return c.offset + time.Since(c.base) }

// time is the same instant as the rest of the daemon writes it.
func (c *clock) time(at time.Duration) time.Time { return c.base.Add(at - c.offset) }
