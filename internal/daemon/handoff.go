// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"hafast/internal/control"
)

// resumePatience is how long a daemon that takes its predecessor's place waits to
// hear from its health checks. Without their word it would have to start as out of
// service, and give up what it has.
const resumePatience = time.Second

// resumeDue ends that wait.
type resumeDue struct{}

// handOff leaves everything as it is for a successor on this host: the VIPs, the data
// path, and a lease that lasts until it is there.
func (l *loop) handOff(now time.Time) {
	l.handedOff = true
	l.fleet.path.Renew(handoffLease)
	l.record(now, control.Event{Kind: "stop", Cause: "asked to leave everything as it is to a successor"})
}

// resumeNow starts the instances with what the checks have found so far.
func (l *loop) resumeNow(now time.Time) {
	if l.begun {
		return
	}
	l.score(now)
	l.begin(now)
}

// resumeIfKnown starts as soon as every check has answered.
func (l *loop) resumeIfKnown(now time.Time) {
	if l.begun {
		return
	}
	for _, in := range l.instances {
		for _, c := range l.checksOf(in) {
			if c.Detail == noResult {
				return
			}
		}
	}
	l.resumeNow(now)
}
