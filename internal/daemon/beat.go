package daemon

import (
	"fmt"
	"time"

	"hafast/internal/control"
)

// The lease holds leaseFor and is renewed every leaseEvery, by the loop itself: what
// keeps the loop from its work for longer than a lease costs this host its VIPs. Both
// are far from how long a busy or virtual machine stands still (20 ms, sometimes
// more), because nothing waits for a lease to end: connections go on all the while.
const (
	leaseFor   = 100 * time.Millisecond
	leaseEvery = 20 * time.Millisecond
	// handoffLease is for a daemon that makes room for its successor: it should be
	// there by then.
	handoffLease = 3 * time.Second
)

// beat renews the lease. If it has run out, the peers know by now, and one of them
// may have taken over: what was missed meanwhile is for the election to sort out.
func (l *loop) beat(now time.Time) {
	f := l.fleet
	lapsed := f.path.Renew(leaseFor)
	l.metrics.LeaseRenewed(now.Sub(l.beatDue))
	l.beatDue = now.Add(leaseEvery)
	if lapsed > 0 && l.begun {
		f.lapses++
		l.metrics.LeaseLapsed()
		l.perform(now, l.router.Lapse(now))
		l.record(now, control.Event{Kind: "lapse", Cause: fmt.Sprintf(
			"this host stood still for %v longer than its lease; the VIPs were not answered for", lapsed.Round(time.Millisecond))})
	}
	l.feel(now)
}

// numbness is what had arrived when this host began to doubt that anything does.
type numbness struct {
	frames, replies uint64
}

// numbFault is why an instance takes no part while nothing arrives.
const numbFault = "nothing arrives at this host: the peers and the witness are silent"

// goNumb takes this host out of the election until something arrives: with a dead
// receive path it would be a second Active.
func (l *loop) goNumb(now time.Time) {
	f := l.fleet
	if f.numb != nil {
		return
	}
	frames, err := f.frames()
	if err != nil {
		l.log.Warn("cannot tell whether anything arrives", "error", err)
		return
	}
	f.numb = &numbness{frames: frames, replies: f.path.WitnessReplies()}
	l.inspectAll(now)
}

// feel ends the numbness when something has arrived.
func (l *loop) feel(now time.Time) {
	f := l.fleet
	if f.numb == nil {
		return
	}
	frames, err := f.frames()
	if err != nil || frames == f.numb.frames && f.path.WitnessReplies() == f.numb.replies {
		return
	}
	f.numb = nil
	l.inspectAll(now)
}

func (l *loop) inspectAll(now time.Time) {
	for _, in := range l.instances {
		l.inspect(now, in)
	}
}
