// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/metrics"
	"hafast/internal/notify"
	"hafast/pkg/vrrp"
)

// receive takes an advertisement to the election.
func (l *loop) receive(now time.Time, ev packetArrived) {
	name, outputs, err := l.router.Receive(now, ev.iface, ev.packet)
	var reject vrrp.Reject
	switch {
	case errors.As(err, &reject):
		l.metrics.AdvertRejected(ev.iface, string(reject))
		if held, ok := l.quiet.Pass(now, "rejected "+string(reject)+ev.iface); ok && reject != vrrp.RejectOwn {
			l.log.Warn("advertisement rejected", "reason", string(reject), "from", ev.packet.Src, "interface", ev.iface, "instance", name, "unreported", held)
		}
		if reject == vrrp.RejectPeerDown {
			l.heardDespite(now, ev.packet.Src)
		}
	default:
		l.metrics.AdvertReceived(name)
	}
	l.perform(now, outputs)
}

// perform does what the election asks for, in its order, and keeps the books
// afterwards: the network waits for the one, nobody for the other.
func (l *loop) perform(now time.Time, outputs []vrrp.Output) {
	if slices.ContainsFunc(outputs, moves) {
		l.tellScope()
	}
	for _, out := range outputs {
		in := l.instance(out.Instance)
		if in == nil {
			continue
		}
		switch action := out.Action.(type) {
		case vrrp.Send:
			l.send(now, in, action.Priority)
		case vrrp.Acquire:
			l.owner.Acquire(in.Name, now)
		case vrrp.Release:
			l.owner.Release(in.Name)
		case vrrp.Reannounce:
			l.metrics.RivalClaim(in.Name, metrics.KindAdvert)
			l.owner.Reannounce(in.Name)
		}
	}
	for _, out := range outputs {
		in := l.instance(out.Instance)
		if in == nil {
			continue
		}
		switch action := out.Action.(type) {
		case vrrp.Changed:
			l.changed(now, in, action)
		case vrrp.Noted:
			l.record(now, control.Event{Kind: "note", Instance: in.Name, Cause: fmt.Sprintf("%s: %s", action.Peer, action.Note)})
		}
	}
}

// send puts an advert on the wire. A failure is counted and logged: the peers
// will act on the silence, as they would on a lost packet.
func (l *loop) send(now time.Time, in *instance, priority uint8) {
	advert := in.params.Advert(priority)
	for _, dst := range in.destinations() {
		b, err := advert.AppendBinary(l.buf[:0], in.source, dst, in.checksum())
		if err == nil {
			l.buf = b
			err = l.wires.send(in, b, dst)
		}
		if err != nil {
			l.metrics.AdvertSendFailed(in.Name)
			if held, ok := l.quiet.Pass(now, "unsent "+in.Name); ok {
				l.log.Warn("advertisement not sent", "instance", in.Name, "error", err, "unreported", held)
			}
			continue
		}
		l.metrics.AdvertSent(in.Name)
	}
}

// changed books a transition and tells whom it concerns.
func (l *loop) changed(now time.Time, in *instance, c vrrp.Changed) {
	in.since = now
	in.transitions++
	in.late = 0
	if !c.Due.IsZero() {
		in.late = now.Sub(c.Due)
	}
	l.metrics.Transition(in.Name, c.From.String(), c.To.String(), string(c.Cause))
	l.showState(in)
	l.record(now, control.Event{
		Kind: "transition", Instance: in.Name, From: c.From.String(), To: c.To.String(), Cause: l.explain(in, c),
	})
	l.exposed, l.moved = true, true
	l.tell(notify.Instance, in.Name, c.From, c.To, in.effective, in.Notify)
	l.tellGroup(in)
}

// explain turns a transition's cause into a sentence for people.
func (l *loop) explain(in *instance, c vrrp.Changed) string {
	peer := "the active host"
	if c.Peer.IsValid() {
		peer = c.Peer.String()
	}
	switch c.Cause {
	case vrrp.CauseStartup:
		return "started"
	case vrrp.CauseOwner:
		return "started as the owner of the addresses (priority 255)"
	case vrrp.CauseTimeout:
		if !c.Peer.IsValid() {
			return "no other host is active"
		}
		return "nothing heard of " + peer
	case vrrp.CauseLiveness:
		return peer + " is dead or out of service"
	case vrrp.CauseLapsed:
		return "this host stood still for too long"
	case vrrp.CauseResumed:
		return "resumed in the place of its predecessor"
	case vrrp.CausePriorityZero:
		return peer + " resigned"
	case vrrp.CausePreempted:
		return peer + " has a lower priority"
	case vrrp.CauseHigher:
		return peer + " has a higher priority"
	case vrrp.CauseResigned:
		return fmt.Sprintf("out of service (%s), %s took over", in.outOfService, peer)
	case vrrp.CauseSyncGroup:
		if in.group == "" {
			return "removed from the configuration"
		}
		return "follows its sync group " + in.group
	case vrrp.CauseFault:
		return l.router.Fault(in.Name) // perhaps another member's of its sync group
	case vrrp.CauseRecovered:
		return "the fault is over"
	case vrrp.CauseShutdown:
		if c.From == vrrp.Active && !c.Peer.IsValid() {
			return "stopped, nobody took over"
		}
		if c.From == vrrp.Active {
			return "stopped, " + peer + " took over"
		}
		return "stopped"
	}
	return string(c.Cause)
}

// tell runs the scripts for a transition, with keepalived's words for the states.
func (l *loop) tell(kind notify.Kind, name string, from, to vrrp.State, priority uint8, n config.Notify) {
	command, word := n.Backup, notify.Backup
	switch to {
	case vrrp.Active:
		command, word = n.Active, notify.Master
	case vrrp.Fault:
		command, word = n.Fault, notify.Fault
	case vrrp.Init:
		command, word = n.Stop, notify.Stop
	case vrrp.Backup:
	}
	if from == to || command == "" && n.Any == "" {
		return
	}
	l.notifier.Notify(notify.Notification{
		Kind: kind, Name: name, State: word, Priority: priority, Command: command, Any: n.Any, User: n.User,
	})
}

// tellGroup runs a sync group's scripts once all its members agree on a new state.
func (l *loop) tellGroup(in *instance) {
	if in.group == "" {
		return
	}
	state := l.router.State(in.Name)
	for _, other := range l.instances {
		if other.group == in.group && l.router.State(other.Name) != state {
			return
		}
	}
	for _, g := range l.cfg.SyncGroups {
		if g.Name == in.group {
			l.tell(notify.Group, g.Name, l.groups[g.Name], state, in.effective, g.Notify)
			l.groups[g.Name] = state
		}
	}
}
