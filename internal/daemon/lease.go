// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"time"

	"hafast/internal/control"
	"hafast/pkg/vrrp"
)

// The lease holds for liveness.lease and is renewed every leaseEvery, by the loop itself:
// what keeps the loop from its work for longer than a lease costs this host its VIPs. The
// default, 100 ms, is far from how long a busy or virtual machine stands still (20 ms,
// sometimes more), because nothing waits for a lease to end: connections go on all the
// while.
const (
	leaseEvery = 20 * time.Millisecond
	// handoffLease is for a daemon that makes room for its successor: it should be
	// there by then.
	handoffLease = 3 * time.Second
)

// renewLease renews the lease. If it has run out, the peers know by now, and one of them
// may have taken over: what was missed meanwhile is for the election to sort out.
func (l *loop) renewLease(now time.Time) {
	f := l.fleet
	lapsed := f.path.Renew(l.cfg.Liveness.Lease)
	if late := now.Sub(l.leaseDue); late >= 0 { // otherwise it is one more than need be
		l.metrics.LeaseRenewed(late)
		l.leaseDue = l.leaseDue.Add(late.Truncate(leaseEvery) + leaseEvery)
	}
	if lapsed > 0 {
		f.lapses++
		l.metrics.LeaseLapsed()
		clear(l.resume) // what the predecessor was Active for may be somebody else's
		l.perform(now, l.router.StepAll(now, vrrp.Lapse{}))
		l.record(now, control.Event{Kind: "lapse", Cause: fmt.Sprintf(
			"this host stood still for %v longer than its lease; the VIPs were not answered for", lapsed.Round(time.Millisecond))})
	}
	l.checkReceiving(now)
	l.follow(now, f.peers.Tick(now))
}

// awake is the time. A host that stood still for longer than its lease learns that
// before anything else: what it would do as an Active is no longer its to do.
func (l *loop) awake() time.Time {
	now := time.Now()
	if l.fleet != nil && now.Sub(l.leaseDue) >= l.cfg.Liveness.Lease-leaseEvery {
		l.renewLease(now)
	}
	return now
}
