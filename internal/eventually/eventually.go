// SPDX-License-Identifier: Apache-2.0

// Package eventually lets tests wait for a condition instead of sleeping.
package eventually

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen; nothing waits for it
// when all is well. It is long because the processors may be somebody else's meanwhile.
const Patience = 20 * time.Second

// True waits until ok is, and fails the test if that takes too long.
func True(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			// On a busy machine this may be the first look for a long time.
			if !ok() {
				t.Fatalf("never: %s", what)
			}
			return
		case <-tick.C:
		}
	}
}
