// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"hafast/internal/announce"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/ownership"
	"hafast/pkg/vrrp"
)

// event is what the loop reacts to. It is sealed: what cannot be handled is not an event.
type event interface {
	// handle takes the event in. It is called by the loop alone, and must not wait.
	handle(l *loop, now time.Time)
}

// Events of the adapters that an election needs; those of the peers, of a reload and of
// timers are declared beside what handles them.
type (
	packetArrived struct {
		iface  string
		packet vrrp.Packet
	}
	linkChanged  struct{ link.Change }
	checkUpdated struct{ health.Update }
	vipReported  struct{ ownership.Event }
	rivalClaimed struct{ announce.Claim }
	// asked runs a client's request on the loop.
	asked struct{ do func(now time.Time) }
)

func (ev packetArrived) handle(l *loop, now time.Time)    { l.receive(now, ev) }
func (ev linkChanged) handle(l *loop, now time.Time)      { l.linkChanged(now, ev.Change) }
func (ev wireOpened) handle(l *loop, now time.Time)       { l.wireOpened(now, ev) }
func (ev checkUpdated) handle(l *loop, now time.Time)     { l.checkUpdated(now, ev.Update) }
func (ev vipReported) handle(l *loop, now time.Time)      { l.vipReported(now, ev.Event) }
func (ev rivalClaimed) handle(l *loop, _ time.Time)       { l.rivalClaimed(ev.Claim) }
func (ev claimStands) handle(l *loop, now time.Time)      { l.claimStands(now, ev.Claim) }
func (ev configRead) handle(l *loop, now time.Time)       { l.configRead(now, ev) }
func (ev prepared) handle(l *loop, now time.Time)         { l.hostPrepared(now, ev.err) }
func (ev asked) handle(_ *loop, now time.Time)            { ev.do(now) }
func (ev legChanged) handle(l *loop, now time.Time)       { l.legChanged(now, ev.LegEvent) }
func (ev livenessChanged) handle(l *loop, now time.Time)  { l.livenessChanged(now, ev.Event) }
func (ev peerSpoke) handle(l *loop, now time.Time)        { l.peerSpoke(now, ev.Peer) }
func (ev servicesFound) handle(l *loop, _ time.Time)      { l.servicesFound(ev.services) }
func (ev gatewayFound) handle(l *loop, _ time.Time)       { l.gatewayFound(ev) }
func (ev readinessChanged) handle(l *loop, now time.Time) { l.readinessChanged(now, ev.ready) }
func (ev connectionsCounted) handle(l *loop, _ time.Time) { l.connectionsCounted(ev.n) }
func (ev turnDue) handle(l *loop, now time.Time)          { l.turnDue(now, l.instance(ev.instance)) }
func (initialSyncOver) handle(l *loop, _ time.Time)       { l.endInitialSync() }
func (resumeDue) handle(l *loop, now time.Time)           { l.resumeNow(now) }
