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

// beat renews the lease. If it has run out, the peers know by now, and one of them
// may have taken over: what was missed meanwhile is for the election to sort out.
func (l *loop) beat(now time.Time) {
	f := l.fleet
	lapsed := f.path.Renew(l.cfg.Liveness.Lease)
	if late := now.Sub(l.beatDue); late >= 0 { // otherwise it is one more than need be
		l.metrics.LeaseRenewed(late)
		l.beatDue = l.beatDue.Add(late.Truncate(leaseEvery) + leaseEvery)
	}
	if lapsed > 0 {
		f.lapses++
		l.metrics.LeaseLapsed()
		clear(l.resume) // what the predecessor was Active for may be somebody else's
		l.perform(now, l.router.StepAll(now, vrrp.Lapse{}))
		l.record(now, control.Event{Kind: "lapse", Cause: fmt.Sprintf(
			"this host stood still for %v longer than its lease; the VIPs were not answered for", lapsed.Round(time.Millisecond))})
	}
	l.feel(now)
	if outputs := f.peers.Tick(now); len(outputs) > 0 {
		l.perceive(now, outputs)
		l.arrange()
	}
}

// awake is the time. A host that stood still for longer than its lease learns that
// before anything else: what it would do as an Active is no longer its to do.
func (l *loop) awake() time.Time {
	now := time.Now()
	if l.fleet != nil && now.Sub(l.beatDue) >= l.cfg.Liveness.Lease-leaseEvery {
		l.beat(now)
	}
	return now
}

// numbness is what had arrived when this host began to doubt that anything does.
type numbness struct {
	frames, replies uint64
	since           time.Time
}

// numbGrace is how long an Active that feels nothing keeps its VIPs. Its peer may have
// died on a quiet network, and the witness may be slow to answer.
const numbGrace = 500 * time.Millisecond

// numbTo tells whether the instance is out for want of anything that arrives.
func (l *loop) numbTo(now time.Time, in *instance) bool {
	return l.fleet != nil && l.fleet.numb != nil &&
		(l.router.State(in.Name) != vrrp.Active || now.Sub(l.fleet.numb.since) >= numbGrace)
}

// feelAgain ends the numbness.
func (l *loop) feelAgain(now time.Time) {
	if l.fleet.numb != nil {
		l.fleet.numb = nil
		l.fleet.peers.SetReceiving(now, true)
		l.inspectAll(now)
	}
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
	f.numb = &numbness{frames: frames, replies: f.path.WitnessReplies(), since: now}
	f.peers.SetReceiving(now, false)
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
		l.inspectAll(now) // the grace may be over
		return
	}
	l.feelAgain(now)
}

func (l *loop) inspectAll(now time.Time) {
	for _, in := range l.instances {
		l.inspect(now, in)
	}
}
