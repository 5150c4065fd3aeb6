// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"testing"
	"time"

	"hafast/pkg/conntrack"
)

func TestFlowsArriveWithinMilliseconds(t *testing.T) {
	r := newRig(t, shape{})
	a, b := r.hosts[0], r.hosts[1]
	a.hold(vip1)
	r.settle(time.Second)
	for i := range 1000 {
		a.open(keyOf(i, vip1), hostA)
		r.net.Run(20 * time.Microsecond)
	}
	r.net.Run(3 * time.Millisecond)
	r.alike(a, vip1)
	a.news(conntrack.Deleted, mustGet(t, a, 5))
	r.net.Run(3 * time.Millisecond)
	if _, ok := b.table.get(keyOf(5, vip1)); ok {
		t.Error("a deleted flow is still there")
	}
	if got := b.hellos[a.addr]; got != "hello of 0" {
		t.Errorf("hello is %q", got)
	}
	r.settle(time.Second)
	if lag := a.peer(1).Lag; lag.Max > 15*time.Millisecond || lag.P50 == 0 {
		t.Errorf("lag is %+v", lag)
	}
	t.Logf("%+v", a.peer(1).Lag)
}
