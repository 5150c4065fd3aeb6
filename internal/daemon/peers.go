package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/liveness"
	"hafast/internal/peering"
	"hafast/internal/steering"
	"hafast/pkg/vrrp"
)

type (
	// livenessChanged is what S-BFD has found out about a peer.
	livenessChanged struct{ liveness.Event }
	// peerSpoke is what a peer says of itself now, or that it has fallen silent.
	peerSpoke struct{ peering.Peer }
	// servicesFound is what haproxy listens on here.
	servicesFound struct{ services []config.Service }
	// acquaintanceOver ends the wait for what the peers have to say.
	acquaintanceOver struct{}
	// gatewayFound is an interface's default gateway now; the zero Addr if it has none.
	gatewayFound struct {
		iface string
		addr  netip.Addr
	}
	// connectionsCounted is how many connections haproxy holds to VIPs.
	connectionsCounted struct{ n int }
)

// livenessChanged acts on a peer's life and death. The election comes first.
func (l *loop) livenessChanged(now time.Time, ev liveness.Event) {
	p := l.fleet.peer(ev.Peer.Addr)
	if p == nil {
		return
	}
	was := p.live
	p.live = ev.To
	if was != ev.To {
		p.liveSince = now
	}
	trusted := liveness.Trust(ev.Evidence)
	switch {
	case ev.To == liveness.Down && l.fleet.answersElsewhere(p):
		// One of its addresses is in trouble, the host is not.
	case ev.To == liveness.Down && trusted, ev.To == liveness.AdminDown:
		l.feelAgain(now)
		l.setLife(p)
		l.activeLost(now, p, ev.To == liveness.Down)
	case ev.To == liveness.Down:
		l.lifeIs(p, vrrp.LifeUnknown)
		l.goNumb(now)
	default:
		l.setLife(p)
	}
	l.assess(p)
	l.arrange()
	if was != ev.To || trusted {
		l.record(now, control.Event{Kind: "liveness", To: ev.To.String(), Cause: l.tellLiveness(p, ev, trusted)})
	}
}

func (l *loop) tellLiveness(p *peer, ev liveness.Event, trusted bool) string {
	name := l.nameOf(p)
	switch ev.To {
	case liveness.Up:
		return name + " answers"
	case liveness.AdminDown:
		return name + " is out of service"
	case liveness.None:
		if p.leaving() {
			return name + " has said goodbye"
		}
		return name + " does not answer S-BFD: left to adverts"
	case liveness.Down:
		text := fmt.Sprintf("%s left %d probes unanswered", name, ev.Run)
		if !trusted {
			text += ", and nothing else arrives here: this host's own receiving may be at fault"
		}
		return text
	}
	return name + " is " + ev.To.String()
}

// nameOf is what people know a peer by.
func (l *loop) nameOf(p *peer) string {
	if node := p.said.Hello.Node; node != "" {
		return fmt.Sprintf("%s (%s)", node, p.addr)
	}
	return p.addr.String()
}

// setLife tells the election and state sync what S-BFD says of the peer.
func (l *loop) setLife(p *peer) {
	l.alive(p)
	switch p.live {
	case liveness.Up:
		l.lifeIs(p, vrrp.LifeUp)
	case liveness.Down:
		l.lifeIs(p, vrrp.LifeDown)
	default:
		l.lifeIs(p, vrrp.LifeUnknown)
	}
}

func (l *loop) lifeIs(p *peer, life vrrp.Life) {
	for _, a := range p.addresses() {
		l.router.SetLife(a, life)
	}
}

// activeLost tells the instances whose Active was on the peer. If nobody is known to be
// Active, the last other host that has died may have been: not one that is out of
// service, which may be starting at this very moment.
func (l *loop) activeLost(now time.Time, p *peer, dead bool) {
	alone := l.fleet.alone(p)
	for _, in := range l.instances {
		machine := l.router.Machine(in.Name)
		if machine.State() == vrrp.Backup && (p.has(machine.ActiveAddr()) || dead && alone && !machine.ActiveAddr().IsValid()) {
			l.perform(now, l.router.Step(now, in.Name, vrrp.ActiveLost{Alone: alone}))
		}
	}
}

// obeyAfter is how long a host that answers no probe may go on advertising before it
// is taken to be alive after all: without S-BFD, or on a network that loses it.
const obeyAfter = time.Second

// heardDespite takes note of an advert from a peer whose session is down.
func (l *loop) heardDespite(now time.Time, p *peer) {
	if p != nil && p.live == liveness.Down && now.Sub(p.liveSince) >= obeyAfter {
		l.stillThere(now, p, "goes on advertising")
	}
}

// stillThere ends the session with a peer that answers no probes and is alive.
func (l *loop) stillThere(now time.Time, p *peer, how string) {
	p.live, p.liveSince = liveness.None, now
	l.setLife(p)
	l.assess(p)
	l.arrange()
	l.record(now, control.Event{Kind: "liveness", To: p.live.String(), Cause: l.nameOf(p) + " answers no probes but " + how + ": left to adverts"})
}

// owner is the peer whose own address it is, first of all as configured; nil if it is
// nobody's.
func (f *fleet) owner(a netip.Addr) *peer {
	if p := f.peer(a); p != nil {
		return p
	}
	for _, p := range f.peers {
		if p.has(a) {
			return p
		}
	}
	return nil
}

// peerSpoke takes in what a peer says of itself.
func (l *loop) peerSpoke(now time.Time, said peering.Peer) {
	p := l.fleet.peer(said.Addr)
	if p == nil {
		return
	}
	before := *p
	l.lifeIs(p, vrrp.LifeUnknown) // by the addresses it had
	p.said = said
	if p.departed() != before.departed() {
		p.gone = false
		l.fleet.watchDeparted(l.fleet.departed())
	}
	session := l.fleet.session(p)
	if said.Hello.Boot != before.said.Hello.Boot {
		p.legFrom = liveness.LegEvent{Peer: session} // probes to its predecessor say nothing of it
		l.fleet.legs.Restart(session)
	}
	switch {
	case p.leaving() && !before.leaving():
		l.fleet.prober.Suspend(session)
		l.activeLost(now, p, false)
	case !p.leaving() && before.leaving():
		l.fleet.prober.Resume(session)
	}
	l.followLeg(now, p)
	l.setLife(p)
	l.assess(p)
	l.arrange()
	if text := tellHello(l.nameOf(p), before.said, said); text != "" {
		l.record(now, control.Event{Kind: "peer", Cause: text})
	}
}

// departedGone takes note that the host of a peer that has departed does not answer any
// more, or that it does again. Its connections went on; now they are dead.
func (l *loop) departedGone(now time.Time, addr netip.Addr, gone bool) {
	p := l.fleet.peer(addr)
	if p == nil || !p.departed() {
		return // it is back, or nobody's peer
	}
	p.gone = gone
	l.assess(p)
	l.arrange()
	cause := ": its daemon was gone, and now the host has ceased to answer: its flows are given up"
	if !gone {
		cause = ": the host answers again, without its daemon: its flows go there"
	}
	l.record(now, control.Event{Kind: "peer", Cause: l.nameOf(p) + cause})
}

// tellHello puts into words what is new of a peer; empty if nothing is worth it.
func tellHello(name string, before, now peering.Peer) string {
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

// assess works out what a peer's haproxy is good for; what is new counts at once.
func (l *loop) assess(p *peer) {
	for _, q := range l.fleet.peers {
		if !same(p, q) {
			continue
		}
		host := *q
		if l.fleet.answersElsewhere(q) {
			host.live = liveness.Up // by one address is by all
		}
		host.gone = l.fleet.gone(q)
		if state := host.fit(); state != q.state {
			q.state = state
			l.fleet.path.Flip(q.addr, state)
		}
	}
}

// servicesFound takes in what haproxy listens on.
func (l *loop) servicesFound(found []config.Service) {
	services := make([]steering.Service, len(found))
	for i, s := range found {
		services[i] = serviceOf(s)
	}
	l.fleet.services, l.fleet.found = services, true
	l.arrange()
}

// lookAround says what is looked at on this host.
func (l *loop) lookAround() {
	at := surroundings{pidfile: l.cfg.HAProxy.Pidfile, vips: l.vips(), iface: l.instances[0].Interface}
	if l.cfg.HAProxy.Mode == config.HAProxyOff {
		at.pidfile = ""
	}
	l.fleet.watch(at)
}

// vips lists all VIPs.
func (l *loop) vips() []netip.Addr {
	var out []netip.Addr
	for _, in := range l.instances {
		for _, v := range in.VIPs {
			out = append(out, v.Prefix.Addr())
		}
	}
	return out
}
