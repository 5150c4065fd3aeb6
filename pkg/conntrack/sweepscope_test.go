// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"testing"
	"time"
)

// TestSweepKeepsToItsWalk: a sweep that is still under way when the next walk begins
// drops nothing of VIPs that only this one is about. What this host holds of them is of
// their former holder, and the walk has yet to tell it.
func TestSweepKeepsToItsWalk(t *testing.T) {
	const many = 5000 // more than a sweep visits in a step
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	b.fill(0, many, vip2)
	a.fill(0, many, vip2)
	a.hold(vip1)
	// Of the walks over no flows and over many, the first one's End and the second one's
	// Begin are a datagram apart.
	for range 2000 {
		if a.peer(1).Flows.Told.Walks > 0 {
			break
		}
		r.net.Run(50 * time.Microsecond)
	}
	a.hold(vip1, vip2)
	least := many
	for range 20000 {
		r.net.Run(500 * time.Microsecond)
		least = min(least, len(b.table.index))
	}
	if least < many {
		t.Errorf("of %d flows %d were left for a while", many, least)
	}
	if n := b.peer(0).Flows.Taken.Diverged.Missing; n > 0 {
		t.Errorf("%d flows were found missing", n)
	}
}
