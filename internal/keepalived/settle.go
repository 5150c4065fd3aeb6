// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"net/netip"
	"slices"

	"hafast/internal/config"
)

// settleVIPs leaves out what another instance has already: hafast moves an
// address with one instance alone.
func (t *translator) settleVIPs() {
	type spot struct {
		addr   netip.Addr
		device string
	}
	taken := map[spot]string{}
	for _, in := range t.doc.instances {
		in.vips = slices.DeleteFunc(in.vips, func(v vip) bool {
			key := spot{addr: v.prefix.Addr()}
			if key.addr.IsLinkLocalUnicast() {
				// One link-local address may live on several links.
				key.device = t.deviceOf(in, v)
			}
			first, dup := taken[key]
			if dup {
				t.warn(v.at, &in.notes, "%s is an address of vrrp_instance %s already, and moves with it; left out", key.addr, first)
				return true
			}
			taken[key] = in.name
			return false
		})
		if len(in.vips) == 0 {
			t.incomplete(in.at, &in.notes, "vrrp_instance %s has no addresses; hafast needs at least one", in.name)
		}
		t.settleAdvertised(in)
	}
}

// deviceOf is where a VIP lives.
func (t *translator) deviceOf(in *instance, v vip) string {
	for _, device := range []string{v.iface, in.iface} {
		if device != "" {
			return device
		}
	}
	return t.doc.iface
}

// settleAdvertised has at least one address advertised, as an advert must
// (RFC 9568 section 5.2.5). keepalived sends adverts that list none.
func (t *translator) settleAdvertised(in *instance) {
	if len(in.vips) == 0 || slices.ContainsFunc(in.vips, func(v vip) bool { return !v.excluded }) {
		return
	}
	v := &in.vips[0]
	v.excluded = false
	t.warn(v.at, &in.notes, "vrrp_instance %s: an advert lists at least one address, so %s is advertised; a keepalived peer that has none in virtual_ipaddress refuses it: move %s there, or switch all hosts at the same time", in.name, v.prefix.Addr(), v.prefix.Addr())
}

// settleRouters warns of instances that hafast cannot tell apart: keepalived
// allows two of one vrid on an interface where their peers differ.
func (t *translator) settleRouters() {
	type router struct {
		device string
		v6     bool
		vrid   int
	}
	seen := map[router]string{}
	for _, in := range t.doc.instances {
		key := router{t.deviceOf(in, vip{}), in.ipv6(), in.vrid}
		if in.vrid == 0 || key.device == "" {
			continue
		}
		if first, dup := seen[key]; dup {
			t.incomplete(in.vridAt, &in.notes, "virtual_router_id %d is that of vrrp_instance %s on %s too: hafast tells them apart by vrid alone, and does not load this; give one of the two another vrid, on all hosts", in.vrid, first, key.device)
			continue
		}
		seen[key] = in.name
	}
}

// settlePeers lists all peers at the top, where the data path looks for the
// other hosts. An instance has a list of its own only if that differs.
func (t *translator) settlePeers() {
	vips, sources := map[netip.Addr]string{}, map[netip.Addr]string{}
	for _, in := range t.doc.instances {
		for _, v := range in.vips {
			vips[v.prefix.Addr()] = in.name
		}
	}
	for _, in := range t.doc.instances {
		t.ownAddresses(in, vips)
		for _, s := range in.sources {
			sources[s.Addr] = in.name
		}
	}
	for _, v6 := range []bool{false, true} {
		var first *instance
		for _, in := range t.doc.instances {
			if !in.unicast || in.ipv6() != v6 {
				continue
			}
			if first == nil {
				first = in
			}
			if !sameAddrs(in.peers, first.peers) {
				t.warn(in.unicastAt, &in.notes, "vrrp_instance %s names other peers than %s: peers at the top has those of both, because the data path serves all instances; take out hosts without haproxy", in.name, first.name)
			}
			t.addPeers(in, sources)
		}
	}
	if n := len(t.doc.peers); n > config.MaxPeers {
		t.warn(t.doc.peers[config.MaxPeers].at, &t.doc.notes, "the data path has room for %d peers: %s and all after it (%d in all) take part in the election alone", config.MaxPeers, t.doc.peers[config.MaxPeers].Addr, n-config.MaxPeers)
		t.doc.peers = t.doc.peers[:config.MaxPeers]
	}
	for _, in := range t.doc.instances {
		v6 := in.ipv6()
		ofFamily, _ := partition(t.doc.peers, func(a addrAt) bool { return a.Is6() == v6 })
		in.ownPeers = in.unicast && !sameAddrs(in.peers, ofFamily)
	}
}

// addPeers adds an instance's peers to those at the top.
func (t *translator) addPeers(in *instance, sources map[netip.Addr]string) {
	for _, p := range in.peers {
		if owner, own := sources[p.Addr]; own {
			t.warn(p.at, &in.notes, "unicast_peer %s is this host's own address in vrrp_instance %s; it is no peer of the data path", p.Addr, owner)
			continue
		}
		if !slices.ContainsFunc(t.doc.peers, func(q addrAt) bool { return q.Addr == p.Addr }) {
			t.doc.peers = append(t.doc.peers, p)
		}
	}
}

// ownAddresses takes VIPs out of the sources and peers of an instance, and this
// host's own address out of its peers.
func (t *translator) ownAddresses(in *instance, vips map[netip.Addr]string) {
	in.sources = slices.DeleteFunc(in.sources, func(s addrAt) bool {
		isVIP := slices.ContainsFunc(in.vips, func(v vip) bool { return v.prefix.Addr() == s.Addr })
		if isVIP && in.priority != 255 {
			t.warn(s.at, &in.notes, "source %s is a VIP of this instance, which a Backup does not have; left out, adverts go out from the interface's own address", s.Addr)
			return true
		}
		return false
	})
	in.peers = slices.DeleteFunc(in.peers, func(p addrAt) bool {
		owner, isVIP := vips[p.Addr]
		switch {
		case slices.ContainsFunc(in.sources, func(s addrAt) bool { return s.Addr == p.Addr }):
			t.warn(p.at, &in.notes, "unicast_peer %s is this host's own address; left out", p.Addr)
			return true
		case isVIP:
			t.warn(p.at, &in.notes, "unicast_peer %s is a VIP, of vrrp_instance %s: peers are the hosts' own addresses; left out", p.Addr, owner)
			return true
		}
		return false
	})
	if in.unicast && len(in.peers) == 0 {
		in.unicast = false
		t.warn(in.unicastAt, &in.notes, "vrrp_instance %s has no unicast peer left; it is on multicast", in.name)
	}
}

func sameAddrs(a, b []addrAt) bool {
	return slices.EqualFunc(a, b, func(x, y addrAt) bool { return x.Addr == y.Addr })
}

// settleWeights warns of checks that cannot move the VIP: they change
// priorities, which a host that does not preempt takes no notice of.
func (t *translator) settleWeights() {
	for _, in := range t.doc.instances {
		weighted := t.doc.haproxy != nil && t.doc.haproxy.weight != 0
		for _, refs := range [][]trackRef{in.track.scripts, in.track.interfaces, in.track.files, in.track.processes} {
			weighted = weighted || slices.ContainsFunc(refs, func(ref trackRef) bool { return *ref.weight != 0 })
		}
		if in.nopreempt != nil && weighted {
			t.warn(in.nopreempt.at, &in.notes, "nopreempt: vrrp_instance %s has checks with a weight, which change its priority alone, and a Backup that does not preempt leaves any Active in its place: such a check never moves the VIP; give it weight 0, which takes the host out of service, or leave nopreempt out", in.name)
		}
	}
}
