// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"time"
)

// pollInterval is how often conditions are looked at.
const pollInterval = 10 * time.Millisecond

// Eventually waits until cond holds. The error names what was waited for when
// ctx ends first; what has come about by then counts, however late it is looked at.
func Eventually(ctx context.Context, what string, cond func() bool) error {
	return Steadily(ctx, what, 0, cond)
}

// Steadily waits until cond has held without a break for so long.
func Steadily(ctx context.Context, what string, hold time.Duration, cond func() bool) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var since time.Time
	for {
		switch now := time.Now(); {
		case !cond():
			since = time.Time{}
		case since.IsZero() && hold > 0:
			since = now
		case hold == 0 || now.Sub(since) >= hold:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			// On a busy machine this may be the first look for a long time.
			if hold == 0 && cond() {
				return nil
			}
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}

// Pass lets time pass. The error is why ctx was done before.
func Pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
