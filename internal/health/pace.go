// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"time"
)

// pace fills in the defaults of an interval and a timeout.
func pace(interval, timeout time.Duration) (time.Duration, time.Duration) {
	if interval <= 0 {
		interval = time.Second
	}
	if timeout <= 0 {
		timeout = interval
	}
	return interval, timeout
}

// every calls f at once and then once per interval until ctx ends. A call that
// takes longer delays the next, and calls that were missed are not made up for.
func every(ctx context.Context, interval time.Duration, f func()) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}
