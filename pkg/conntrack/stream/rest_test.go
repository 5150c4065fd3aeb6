// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"
	"time"
)

// TestSilenceTakesTheWindowBack: a peer that answers no tip either may be behind another
// path now, or be a slower host: what the way could bear before says nothing.
func TestSilenceTakesTheWindowBack(t *testing.T) {
	now := time.Unix(1000, 0)
	s := NewSender(Limits{})
	s.NewEpoch()
	s.flight.window, s.heard = maxWindow, now
	for range maxWindow {
		s.Push(Batch{})
	}
	for {
		if _, _, _, ok := s.Next(now); !ok {
			break
		}
	}
	for timeouts, want := range []int{maxWindow, minWindow} {
		now = s.Deadline()
		s.Tick(now)
		if got := s.Figures().Window; got != want {
			t.Errorf("after timeout %d the window is %d, want %d", timeouts+1, got, want)
		}
		checkSender(t, s)
	}
}
