// SPDX-License-Identifier: Apache-2.0

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

// TestStandbyFaultLeavesTheVIP is the other kind of fault: nothing is to move, and
// the held connections, all on the active host, are to live.
func TestStandbyFaultLeavesTheVIP(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived")
	l := lab.ForTest(t, lab.Options{})
	runner := takeover.Runner{Lab: l, Interval: 2 * time.Millisecond, Held: 20, Spread: time.Millisecond}
	for _, fault := range []takeover.Fault{takeover.StandbyHAProxyKill, takeover.StandbyDeath} {
		t.Run(string(fault), func(t *testing.T) {
			got, err := runner.Run(t.Context(), lab.KeepalivedSeed(), fault)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", got)
			if !got.AsExpected || got.TakenOver || !got.Recovered {
				t.Error("the VIP did not stay where it was")
			}
			if got.HeldOnSurvivor != 20 || got.SurvivorsOnSurvivor != 20 || got.Survivors != 20 {
				t.Error("connections were lost with which nothing had happened")
			}
		})
	}
}

// TestStoppedKeepalivedStillAnswers shows that a stopped daemon is told from a
// fenced one: nobody takes the VIP off its interface.
func TestStoppedKeepalivedStillAnswers(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived")
	l := lab.ForTest(t, lab.Options{})
	runner := takeover.Runner{Lab: l, Interval: 2 * time.Millisecond, Held: 20, Spread: time.Millisecond}
	got, err := runner.Run(t.Context(), lab.KeepalivedSeed(), takeover.DaemonStop)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", got)
	if !got.AsExpected || !got.TakenOver || got.Responders != 2 {
		t.Errorf("taken over %v, %d hosts answer; want both to", got.TakenOver, got.Responders)
	}
}
