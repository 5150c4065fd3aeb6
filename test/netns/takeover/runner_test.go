package takeover_test

import (
	"testing"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/takeover"
)

// TestKeepalivedPlannedStop measures a real takeover, whose figures are known in
// kind: short outage, every held connection lost, one host answering.
func TestKeepalivedPlannedStop(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived")
	l := lab.ForTest(t, lab.Options{})
	runner := takeover.Runner{Lab: l, Interval: 2 * time.Millisecond, Held: 20, Spread: time.Millisecond}
	got, err := runner.Run(t.Context(), lab.KeepalivedTuned(), takeover.PlannedStop)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", got)
	if !got.TakenOver || !got.Recovered {
		t.Error("the standby did not take over")
	}
	if got.Held != 20 || got.Survivors != 0 {
		t.Errorf("%d of %d held connections survived; keepalived cannot keep any", got.Survivors, got.Held)
	}
	if got.Responders != 1 {
		t.Errorf("%d hosts answer for the VIP", got.Responders)
	}
	if got.FailedBefore != 0 {
		t.Errorf("%d attempts failed before the fault", got.FailedBefore)
	}
}
