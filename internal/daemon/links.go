// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"time"

	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/pkg/vrrp"
)

// linkChanged takes an interface's new condition to the sockets, the owner of
// the VIPs and the election.
func (l *loop) linkChanged(now time.Time, c link.Change) {
	was, had := l.links[c.Name]
	if c.Present {
		l.links[c.Name] = c.State
	} else {
		delete(l.links, c.Name)
	}
	l.wires.follow(l.instances, l.links)
	l.owner.Changed(c)
	for _, in := range l.instances {
		if slices.Contains(in.interfaces(), c.Name) {
			l.inspect(now, in)
		}
	}
	l.score(now)
	l.tellRoutes()
	if l.fleet != nil && (had != c.Present || was.Index != c.State.Index) {
		l.fleet.path.Reattach()
	}
}

// wireOpened lets the instances go on that wait for a socket.
func (l *loop) wireOpened(now time.Time, ev wireOpened) {
	l.wires.opened(ev)
	for _, in := range l.instances {
		switch {
		case in.wire() != ev.key:
		case in.unwired:
			l.beginInstance(now, in)
			l.reconcile()
		default:
			l.inspect(now, in)
		}
	}
}

// inspect tells the election of an instance's source address and of faults that
// have come or gone.
func (l *loop) inspect(now time.Time, in *instance) {
	source, fault := in.condition(l.links, l.isVIP)
	if fault == "" && l.wires.pending(in) {
		return // until the socket is open, or cannot be
	}
	if fault == "" {
		fault = l.wires.trouble(in)
	}
	if fault == "" && l.receiveDead(now, in) {
		fault = receiveDeadFault
	}
	if source != in.source && source.IsValid() {
		in.source = source
		l.perform(now, l.router.Step(now, in.Name, vrrp.SetSource{Addr: source}))
	}
	if fault == in.fault {
		return
	}
	was := in.fault
	in.fault = fault
	switch {
	case fault != "":
		if was != "" {
			l.record(now, control.Event{Kind: "fault", Instance: in.Name, Cause: fault})
		}
		l.perform(now, l.router.Step(now, in.Name, vrrp.SetFault{Reason: fault}))
	default:
		l.perform(now, l.router.Step(now, in.Name, vrrp.Recover{}))
	}
}

// isVIP tells VIPs from the host's own addresses.
func (l *loop) isVIP(a netip.Addr) bool {
	return slices.ContainsFunc(l.instances, func(in *instance) bool { return in.has(a) })
}

func (in *instance) has(a netip.Addr) bool {
	for _, v := range in.VIPs {
		if v.Prefix.Addr() == a {
			return true
		}
	}
	return false
}
