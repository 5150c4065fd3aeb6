// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/internal/steering"
)

// reconcile brings the data path and the hellos to the peers into line with how things
// stand. It is cheap, and does nothing where nothing is new.
func (l *loop) reconcile() {
	f := l.fleet
	l.moved = false
	if f == nil || !l.begun {
		return
	}
	self := l.self(f)
	f.path.SetServing(l.inService())
	f.count(l.fit() == steering.Drain)
	f.path.SetTargetState(self, l.fit())
	f.path.SetDesired(l.desired(f, self))
	l.tellPeers(self)
	if sessions := l.sessions(self); !slices.Equal(sessions, f.probed) {
		if err := errors.Join(f.prober.Set(sessions), f.legs.Set(sessions)); err != nil {
			if held, ok := l.quiet.Pass(time.Now(), "unprobed"); ok {
				l.log.Error("peers are not probed", "error", err, "unreported", held)
			}
		} else {
			f.probed = sessions
		}
	}
	l.callWitness()
}

// inService reports whether this host can be Active for anything: what S-BFD says.
func (l *loop) inService() bool {
	return !l.stopping && !l.drained &&
		slices.ContainsFunc(l.instances, func(in *instance) bool { return in.outOfService == "" })
}

// fit is what this host's haproxy is good for.
func (l *loop) fit() steering.State {
	haproxy, known := l.checks[health.NameHAProxy]
	switch {
	case l.cfg.HAProxy.Mode != config.HAProxyOff && known && !haproxy.Up && haproxy.Detail != health.NotTracked:
		return steering.Down
	case !l.inService():
		return steering.Drain
	default:
		return steering.Up
	}
}

// why says what keeps this host's haproxy from being up.
func (l *loop) why() string {
	switch {
	case l.stopping:
		return "hafast is stopping"
	case l.drained:
		return "drained by the operator"
	case l.fit() == steering.Up:
		return ""
	default:
		return l.instances[0].outOfService
	}
}

// self is the address that the peers know this host by: the one in the first peer's
// network, or else the source of adverts.
func (l *loop) self(f *fleet) netip.Addr {
	for _, p := range f.peers.All() {
		if a := l.sourceTowards(p.Addr); a.IsValid() {
			return a
		}
	}
	return l.instances[0].source
}

// sourceTowards is the own address in the peer's network; the zero Addr where there
// is none.
func (l *loop) sourceTowards(peer netip.Addr) netip.Addr {
	for _, name := range l.pathInterfaces() {
		for _, own := range l.links[name].Addrs {
			if own.Masked().Contains(peer) && own.Bits() < own.Addr().BitLen() && !l.isVIP(own.Addr()) {
				return own.Addr()
			}
		}
	}
	return netip.Addr{}
}

// home is the interface that carries an own address.
func (l *loop) home(own netip.Addr) link.State {
	for _, name := range l.pathInterfaces() {
		if state := l.links[name]; state.Has(own) {
			return state
		}
	}
	return l.links[l.instances[0].Interface]
}

// pathInterfaces are those that the program belongs on: they carry adverts or VIPs.
func (l *loop) pathInterfaces() []string {
	var names []string
	for _, in := range l.instances {
		names = append(names, in.Interface)
		for _, v := range in.VIPs {
			if v.Interface != "lo" {
				names = append(names, v.Interface)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ownAddresses are the host's, without the VIPs.
func (l *loop) ownAddresses() []netip.Addr {
	var out []netip.Addr
	for _, name := range l.pathInterfaces() {
		for _, p := range l.links[name].Addrs {
			if a := p.Addr().WithZone(""); !l.isVIP(a) && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// ownMACs are the hardware addresses that frames for this host have.
func (l *loop) ownMACs() (out [][6]byte) {
	for _, name := range l.pathInterfaces() {
		if mac := l.links[name].MAC; len(mac) == 6 && !slices.Contains(out, [6]byte(mac)) {
			out = append(out, [6]byte(mac))
		}
	}
	return out
}

// desired is what the data path should be like.
func (l *loop) desired(f *fleet, self netip.Addr) datapath.Desired {
	w := datapath.Desired{Hold: !f.informed(), Interfaces: l.pathInterfaces(), Locals: l.ownAddresses(), MACs: l.ownMACs()}
	if l.cfg.Balance == "local" {
		w.Policy = steering.Local
	}
	for _, s := range l.cfg.Services {
		w.Services = append(w.Services, serviceOf(s))
	}
	all := w.Services != nil
	for _, in := range l.instances {
		w.Instances = append(w.Instances, datapath.Instance{Name: in.Name, VIPs: in.addresses()})
	}
	if self.IsValid() {
		w.Targets = append(w.Targets, datapath.Target{Addr: self, Local: true, State: l.fit(), Serves: f.services, All: all})
	}
	for _, p := range f.peers.All() {
		w.Peers = append(w.Peers, p.Addr)
	}
	for _, p := range f.peers.Hosts() {
		w.Targets = append(w.Targets, datapath.Target{
			Addr: p.Addr, MAC: p.Said.Hello.MAC, State: p.State().Target(), Serves: p.Said.Hello.Services, All: all,
		})
	}
	return w
}

// tellPeers says to the peers how this host is.
func (l *loop) tellPeers(self netip.Addr) {
	f := l.fleet
	hello := membership.Hello{
		Software: l.version, Node: l.cfg.Node, Reason: l.why(), Left: uint32(max(f.connections, 0)),
		Addresses: l.ownAddresses(), Services: f.services, Legs: f.legsOf(), Routers: l.standings(),
	}
	switch l.fit() {
	case steering.Up:
		hello.State = membership.Up
	case steering.Drain:
		hello.State = membership.Drain
	default:
		hello.State = membership.Down
	}
	if l.stopping {
		hello.State = membership.Stopping
	}
	home := l.home(self)
	if len(home.MAC) == len(hello.MAC) {
		hello.MAC = [6]byte(home.MAC)
	}
	if err := f.exchange.SetSelf(hello); err != nil {
		l.log.Warn("the peers are not told everything", "error", err)
	}
	to := l.neighbours()
	l.noteDoubles(to)
	if !slices.Equal(to, f.told) {
		f.told = to
		f.exchange.SetPeers(to)
	}
}

// sessions are whom liveness is exchanged with.
func (l *loop) sessions(self netip.Addr) []bfd.Peer {
	var out []bfd.Peer
	for slot, p := range l.fleet.peers.All() {
		out = append(out, bfd.Peer{
			Addr: p.Addr, Slot: slot, Source: l.sourceTowards(p.Addr), Interface: l.scope(self, p.Addr),
		})
	}
	return out
}

// scope is the interface that a link-local peer is behind; 0 for others, to whom there
// are routes.
func (l *loop) scope(self, peer netip.Addr) int {
	if !peer.IsLinkLocalUnicast() {
		return 0
	}
	return l.home(self).Index
}

// session is the prober's name of the peer.
func (f *fleet) session(p *peers.Peer) bfd.Peer {
	for _, s := range f.probed {
		if s.Addr == p.Addr {
			return s
		}
	}
	return bfd.Peer{Addr: p.Addr}
}

// callWitness names who is asked whether this host's own receiving works.
func (l *loop) callWitness() {
	f := l.fleet
	want := l.cfg.Liveness.Witness
	iface := l.instances[0].Interface
	addr := want.Addr
	if want.Gateway && f.gateway.iface == iface {
		addr = f.gateway.addr
	}
	var w bfd.Witness
	state := l.links[iface]
	if source := state.Primary4(l.isVIP); addr.IsValid() && source.IsValid() {
		w = bfd.Witness{Address: addr, Source: source, Interface: state.Index, MAC: state.MAC}
	}
	if w.Address == f.witness.Address && w.Source == f.witness.Source && w.Interface == f.witness.Interface &&
		slices.Equal(w.MAC, f.witness.MAC) {
		return
	}
	f.witness = w
	if err := errors.Join(f.path.SetWitness(w.Address), f.prober.SetWitness(w)); err != nil {
		l.log.Warn("no witness is asked", "error", err)
	}
}
