// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// TestRun measures little, and holds what must be so at any rate: flows arrive, and a
// host that has lost all of them has them again.
func TestRun(t *testing.T) {
	lab.SkipUnlessRoot(t)
	lab.SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "haproxy", "nginx")
	r := Runner{Rate: 2000, Window: 300 * time.Millisecond, Probes: 10}
	for _, proto := range Protocols() {
		l, err := r.Load(t.Context(), proto)
		if err != nil {
			t.Fatal(err)
		}
		if l.Flows == 0 || l.Missing != 0 {
			t.Errorf("%s: of %d flows %d are missing", proto, l.Flows, l.Missing)
		}
	}
	const flows = 5000
	resync, err := r.Resync(t.Context(), flows)
	if err != nil {
		t.Fatal(err)
	}
	if resync.Flows < flows || resync.Missing != 0 {
		t.Errorf("of %d flows %d are missing, %d were made", resync.Flows, resync.Missing, flows)
	}
}
