// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"hafast/pkg/vrrp"
)

// receiveDoubt is what had arrived when this host began to doubt that anything does.
type receiveDoubt struct {
	frames, replies uint64
	since           time.Time
}

// receiveDeadGrace is how long an Active that receives nothing keeps its VIPs. Its peer may have
// died on a quiet network, and the witness may be slow to answer.
const receiveDeadGrace = 500 * time.Millisecond

// receiveDead reports whether the instance is out for want of anything that arrives.
func (l *loop) receiveDead(now time.Time, in *instance) bool {
	return l.fleet != nil && l.fleet.doubt != nil &&
		(l.router.State(in.Name) != vrrp.Active || now.Sub(l.fleet.doubt.since) >= receiveDeadGrace)
}

// receiveRestored ends the doubt.
func (l *loop) receiveRestored(now time.Time) {
	if l.fleet.doubt != nil {
		l.fleet.doubt = nil
		l.fleet.peers.SetReceiving(now, true)
		l.inspectAll(now)
	}
}

// receiveDeadFault is why an instance takes no part while nothing arrives.
const receiveDeadFault = "nothing arrives at this host: the peers and the witness are silent"

// doubtReceiving takes this host out of the election until something arrives: with a dead
// receive path it would be a second Active.
func (l *loop) doubtReceiving(now time.Time) {
	f := l.fleet
	if f.doubt != nil {
		return
	}
	frames, err := f.frames()
	if err != nil {
		l.log.Warn("cannot tell whether anything arrives", "error", err)
		return
	}
	f.doubt = &receiveDoubt{frames: frames, replies: f.path.WitnessReplies(), since: now}
	f.peers.SetReceiving(now, false)
	l.inspectAll(now)
}

// checkReceiving ends the doubt when something has arrived.
func (l *loop) checkReceiving(now time.Time) {
	f := l.fleet
	if f.doubt == nil {
		return
	}
	frames, err := f.frames()
	if err != nil || frames == f.doubt.frames && f.path.WitnessReplies() == f.doubt.replies {
		l.inspectAll(now) // the grace may be over
		return
	}
	l.receiveRestored(now)
}

func (l *loop) inspectAll(now time.Time) {
	for _, in := range l.instances {
		l.inspect(now, in)
	}
}
