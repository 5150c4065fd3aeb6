// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// TestPromotionIsSeenOnTheWire measures real takeovers. How long they take is
// the machine's matter.
func TestPromotionIsSeenOnTheWire(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived")
	l := lab.ForTest(t, lab.Options{})
	systems, err := Contestants()
	if err != nil {
		t.Fatal(err)
	}
	for _, sys := range systems {
		t.Run(sys.Name(), func(t *testing.T) {
			runner := Runner{Lab: l}
			got, err := runner.Promotion(t.Context(), sys, 10)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", got)
			if !got.Complete || got.Missing != 0 {
				t.Fatalf("%d VIPs were not announced", got.Missing)
			}
			if got.FirstMS == 0 || got.AllMS <= got.FirstMS {
				t.Errorf("first after %f ms, all after %f ms", got.FirstMS, got.AllMS)
			}
			if _, told := got.PhasesUS["address"]; told != (sys.Name() == "hafast") {
				t.Errorf("phases %v", got.PhasesUS)
			}
		})
	}
}

func TestSeldom(t *testing.T) {
	asked := 0
	cond := seldom(time.Hour, func() bool { asked++; return true })
	for range 3 {
		if !cond() {
			t.Error("another answer than the one asked for")
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
