// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// TestReplicationIsWhatSavesConnections moves held connections to the other router, with
// hafast, conntrackd and nothing at all.
func TestReplicationIsWhatSavesConnections(t *testing.T) {
	lab.SkipUnlessRoot(t)
	lab.SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "nft", "keepalived", "conntrackd")
	const few, many = 50, 1000
	// Whether conntrackd keeps all of them is its own affair.
	tests := []struct {
		system            string
		plan              Plan
		held, least, most int
	}{
		{none, Plan{Planned: 1}, few, 0, 0},
		{conntrackdFTFW, Plan{Planned: 1}, few, 1, few},
		{ours, Plan{Planned: 4}, many, many, many},
		{ours, Plan{Deaths: 2}, many, many, many},
		{ours, Plan{Planned: 2, Lossy: true}, many, many, many},
	}
	for _, tt := range tests {
		t.Run(tt.system+", "+tt.plan.String(), func(t *testing.T) {
			sys, err := NewSystem(tt.system)
			if err != nil {
				t.Fatal(err)
			}
			runner := Runner{Held: tt.held, Pace: tt.held, Window: time.Second}
			got, err := runner.Moves(t.Context(), sys, tt.plan)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", got)
			for i, move := range got.Moves {
				if move.Alive < tt.least || move.Alive > tt.most {
					t.Errorf("%d of %d connections are alive after change %d, want %d to %d", move.Alive, tt.held, i+1, tt.least, tt.most)
				}
			}
			if got.LoadOK == 0 {
				t.Error("no connection was made meanwhile")
			}
		})
	}
}
