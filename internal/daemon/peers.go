// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

type (
	// livenessChanged is what S-BFD has found out about a peer.
	livenessChanged struct{ bfd.Event }
	// peerSpoke is what a peer says of itself now, or that it has fallen silent.
	peerSpoke struct{ membership.Peer }
	// servicesFound is what haproxy listens on here.
	servicesFound struct{ services []config.Service }
	// initialSyncOver ends the wait for what the peers have to say.
	initialSyncOver struct{}
	// gatewayFound is an interface's default gateway now; the zero Addr if it has none.
	gatewayFound struct {
		iface string
		addr  netip.Addr
	}
	// connectionsCounted is how many connections haproxy holds to VIPs.
	connectionsCounted struct{ n int }
)

// livenessChanged acts on a peer's life and death.
func (l *loop) livenessChanged(now time.Time, ev bfd.Event) {
	p := l.fleet.peers.Peer(ev.Peer.Addr)
	if p == nil {
		return
	}
	was, trusted := p.Session, bfd.Trust(ev.Evidence)
	if ev.To == bfd.AdminDown || ev.To == bfd.Down && trusted {
		l.receiveRestored(now)
	}
	l.follow(now, l.fleet.peers.Step(now, p.Addr, peers.Probed{To: ev.To, Doubtful: !trusted}))
	if was == bfd.Down && ev.To == bfd.Up {
		l.advertiseAgain(now)
	}
	if was != ev.To || trusted {
		l.record(now, control.Event{Kind: "liveness", To: ev.To.String(), Cause: l.tellLiveness(p, ev, trusted)})
	}
}

// advertiseAgain has a peer that is there again hear at once which instances are Active here.
// After a false alarm two hosts are: the less preferred one would go on until the other's
// next advert. Each host may be the first to find the other one there, and does not heed
// its adverts before that; so both send one.
func (l *loop) advertiseAgain(now time.Time) {
	for _, in := range l.instances {
		if machine := l.router.Machine(in.Name); machine.State() == vrrp.Active && !machine.Leaving() {
			l.send(now, in, machine.Priority())
		}
	}
}

// peerSpoke takes in what a peer says of itself.
func (l *loop) peerSpoke(now time.Time, said membership.Peer) {
	p := l.fleet.peers.Peer(said.Addr)
	if p == nil {
		return
	}
	before := p.Said
	if session := l.fleet.session(p); said.Hello.Boot != before.Hello.Boot {
		p.LegFrom = bfd.LegEvent{Peer: session} // probes to its predecessor say nothing of it
		l.fleet.legs.Restart(session)
	}
	outputs := l.fleet.peers.Step(now, p.Addr, peers.Spoke{Peer: said})
	l.followLeg(now, p)
	l.follow(now, outputs)
	if text := tellHello(l.nameOf(p), before, said); text != "" {
		l.record(now, control.Event{Kind: "peer", Cause: text})
	}
}

// departedGone takes note that the host of a peer that has departed does not answer any
// more, or that it does again.
func (l *loop) departedGone(now time.Time, addr netip.Addr, gone bool) {
	l.follow(now, l.fleet.peers.Step(now, addr, peers.Vanished{Gone: gone}))
}

// follow does what the peers' state machines ask for, and has the data path and the peers
// follow. Most adverts and renewals of the lease ask for nothing.
func (l *loop) follow(now time.Time, outputs []peers.Output) {
	if len(outputs) > 0 {
		l.perceive(now, outputs)
		l.reconcile()
	}
}

// perceive does what the peers' state machines ask for, in their order: the election comes
// first.
func (l *loop) perceive(now time.Time, outputs []peers.Output) {
	f := l.fleet
	for _, out := range outputs {
		switch out := out.(type) {
		case peers.LifeChanged:
			l.lifeIs(out)
		case peers.ActiveLost:
			l.activeLost(now, out.Peer, out.Dead)
		case peers.Doubted:
			l.doubtReceiving(now)
		case peers.Probing:
			if out.On {
				f.prober.Resume(f.session(out.Peer))
			} else {
				f.prober.Suspend(f.session(out.Peer))
			}
		case peers.Watching:
			f.watchDeparted(out.Addrs)
		case peers.LeftToAdverts:
			l.record(now, control.Event{
				Kind: "liveness", To: bfd.Unmonitored.String(),
				Cause: l.nameOf(out.Peer) + " answers no probes but " + out.Sign + ": left to adverts",
			})
		case peers.StateChanged:
			l.peerChanged(now, out)
		}
	}
	l.takeTurns(now)
}

// heardDespite takes note of an advert from a host whose adverts do not count.
func (l *loop) heardDespite(now time.Time, from netip.Addr) {
	if p := l.fleet.peers.Owner(from); p != nil {
		l.follow(now, l.fleet.peers.Step(now, p.Addr, peers.Advertised{}))
	}
}

// lifeIs has the election and state sync know what S-BFD says of a peer.
func (l *loop) lifeIs(out peers.LifeChanged) {
	if l.sync.channel != nil {
		l.sync.channel.SetAlive(out.Peer.Addr, out.Peer.Session == bfd.Up)
	}
	for _, a := range out.Addrs {
		l.router.SetLife(a, out.Life)
	}
}

// peerChanged has the data path follow a peer's state at once, and says what became of
// flows.
func (l *loop) peerChanged(now time.Time, c peers.StateChanged) {
	if target := c.To.Target(); target != c.From.Target() {
		l.fleet.path.SetTargetState(c.Peer.Addr, target)
	}
	var cause string
	switch {
	case c.To == peers.HostDead && c.From.DaemonGone():
		cause = "has no daemon, and now the host has ceased to answer: its flows are given up"
	case c.To == peers.HostDead:
		cause = "has answered nothing since it was suspected: the flows that it had are reset"
	case c.From == peers.HostDead && c.To.DaemonGone():
		cause = "answers again, without its daemon: its flows go there"
	case c.From == peers.Suspect && c.To == peers.Up:
		cause = "is there after all: suspected without need, its flows went there all the while"
		l.metrics.FalseAlarm()
	default:
		return
	}
	l.record(now, control.Event{Kind: "peer", From: c.From.String(), To: c.To.String(), Cause: l.nameOf(c.Peer) + " " + cause})
}

func (l *loop) tellLiveness(p *peers.Peer, ev bfd.Event, trusted bool) string {
	name := l.nameOf(p)
	switch ev.To {
	case bfd.Up:
		return name + " answers"
	case bfd.AdminDown:
		return name + " is out of service"
	case bfd.Unmonitored:
		if p.Stopping() {
			return name + " has said goodbye"
		}
		return name + " does not answer S-BFD: left to adverts"
	case bfd.Down:
		text := fmt.Sprintf("%s left %d probes unanswered", name, ev.Run)
		if !trusted {
			text += ", and nothing else arrives here: this host's own receiving may be at fault"
		}
		return text
	default:
		return name + " is " + ev.To.String()
	}
}

// nameOf is what people know a peer by.
func (l *loop) nameOf(p *peers.Peer) string {
	if node := p.Said.Hello.Node; node != "" {
		return fmt.Sprintf("%s (%s)", node, p.Addr)
	}
	return p.Addr.String()
}

// tellHello puts into words what is new of a peer; empty if nothing is worth it.
func tellHello(name string, before, now membership.Peer) string {
	switch {
	case now.Incompatible != "" && now.Incompatible != before.Incompatible:
		return name + " speaks another protocol: " + now.Incompatible
	case before.Heard.IsZero() && !now.Heard.IsZero(), before.Silent && !now.Silent:
		return fmt.Sprintf("%s is there, %s, with %d services", name, now.Hello.State, len(now.Hello.Services))
	case now.Silent && !before.Silent:
		return name + " has fallen silent"
	case now.Hello.State != before.Hello.State:
		text := fmt.Sprintf("%s says it is %s", name, now.Hello.State)
		if now.Hello.Reason != "" {
			text += ": " + now.Hello.Reason
		}
		return text
	}
	return ""
}

// servicesFound takes in what haproxy listens on.
func (l *loop) servicesFound(found []config.Service) {
	services := make([]steering.Service, len(found))
	for i, s := range found {
		services[i] = serviceOf(s)
	}
	l.fleet.services, l.fleet.found = services, true
	l.reconcile()
}

// gatewayFound takes in the default gateway, who may be the witness.
func (l *loop) gatewayFound(ev gatewayFound) {
	l.fleet.gateway = ev
	l.callWitness()
}

// connectionsCounted takes in how many connections haproxy holds.
func (l *loop) connectionsCounted(n int) {
	l.fleet.connections = n
	l.reconcile()
}

// endInitialSync stops waiting for peers that have not been heard of.
func (l *loop) endInitialSync() {
	l.fleet.syncOver = true
	l.reconcile()
}

// lookAround says what is looked at on this host.
func (l *loop) lookAround() {
	at := observed{pidfile: l.cfg.HAProxy.Pidfile, vips: l.vips(), iface: l.instances[0].Interface}
	if l.cfg.HAProxy.Mode == config.HAProxyOff {
		at.pidfile = ""
	}
	l.fleet.watch(at)
}

// vips lists all VIPs.
func (l *loop) vips() []netip.Addr {
	var out []netip.Addr
	for _, in := range l.instances {
		out = append(out, in.addresses()...)
	}
	return out
}
