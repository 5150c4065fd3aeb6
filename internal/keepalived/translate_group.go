// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"net/netip"
	"slices"
)

// syncGroup translates vrrp_sync_group.
func (t *translator) syncGroup(block *node) {
	g := &group{name: block.arg(0), at: block.at}
	if !t.named(block, t.groups[g.name] != nil) {
		return
	}
	to := &g.notes
	for _, n := range block.children {
		switch n.keyword {
		case "group":
			t.extraArgs(n, to, 0)
			for _, c := range n.children {
				for _, name := range c.words() {
					t.join(g, name, c.at)
				}
				t.extraBlock(c, to)
			}
			continue
		case "global_tracking", "sync_group_tracking_weight":
			g.weights = true
			t.extraArgs(n, to, 0)
			g.notes.add(n.keyword + ": the members keep the weights of their own checks.")
		default:
			if t.trackKeyword(n, &g.track, to) || t.notifyKeyword(n, &g.notify, to) {
				continue
			}
			reason, known := reasonInstance(n.keyword)
			t.leftOut(n, to, reason, known)
			continue
		}
		t.extraBlock(n, to)
	}
	t.groups[g.name] = g
	t.doc.groups = append(t.doc.groups, g)
}

// join makes an instance a member.
func (t *translator) join(g *group, name string, at place) {
	in := t.instances[name]
	switch {
	case in == nil:
		t.warn(at, &g.notes, "vrrp_sync_group %s: there is no vrrp_instance %s; left out", g.name, quote(name))
	case in.group != nil:
		t.warn(at, &g.notes, "vrrp_sync_group %s: %s is a member already, of %s; left out", g.name, name, in.group.name)
	default:
		in.group = g
		g.members = append(g.members, name)
	}
}

// groupTracking gives the checks of a group to each of its members.
func (t *translator) groupTracking() {
	for _, in := range t.doc.instances {
		if in.group == nil {
			continue
		}
		from := in.group.track
		in.track.scripts = inherit(in.track.scripts, from.scripts)
		in.track.interfaces = inherit(in.track.interfaces, from.interfaces)
		in.track.files = inherit(in.track.files, from.files)
		in.track.processes = inherit(in.track.processes, from.processes)
	}
}

// inherit adds the group's checks; where both name the same one, the group's
// is the one that counts.
func inherit(own, group []trackRef) []trackRef {
	own = slices.DeleteFunc(own, func(ref trackRef) bool {
		return slices.ContainsFunc(group, func(g trackRef) bool { return g.name == ref.name })
	})
	for _, ref := range group {
		ref.fromGroup = true
		own = append(own, ref)
	}
	return own
}

// settleGroups drops groups that nobody is in.
func (t *translator) settleGroups() {
	t.doc.groups = slices.DeleteFunc(t.doc.groups, func(g *group) bool {
		if len(g.members) > 0 {
			return false
		}
		t.doc.notes = append(t.doc.notes, g.notes...)
		t.warn(g.at, &t.doc.notes, "vrrp_sync_group %s has no members; left out", g.name)
		return true
	})
}

// splitFamilies divides instances that carry IPv4 and IPv6 addresses into two
// of the same vrid, in one sync group, because an advert lists one family.
func (t *translator) splitFamilies() {
	for _, in := range slices.Clone(t.doc.instances) {
		v6 := in.ipv6()
		foreign := func(a netip.Addr) bool { return a.Is6() != v6 }
		ofOther := func(v vip) bool { return foreign(v.prefix.Addr()) }
		if slices.ContainsFunc(in.vips, ofOther) {
			other := t.splitOff(in, ofOther, foreign)
			at := slices.Index(t.doc.instances, in)
			t.doc.instances = slices.Insert(t.doc.instances, at+1, other)
		}
		t.dropForeign(in)
	}
}

// splitOff moves what is of the other family to a new instance.
func (t *translator) splitOff(in *instance, ofOther func(vip) bool, foreign func(netip.Addr) bool) *instance {
	other := *in
	suffix, family := "_v6", "IPv6"
	if in.ipv6() {
		suffix, family = "_v4", "IPv4"
	}
	other.name = t.freeName(in.name + suffix)
	other.notes = nil
	other.announce = announce{}
	other.notify = notifications{} // they ran once for both so far
	other.vips, in.vips = partition(in.vips, ofOther)
	foreignAt := func(a addrAt) bool { return foreign(a.Addr) }
	other.peers, in.peers = partition(in.peers, foreignAt)
	other.sources, in.sources = partition(in.sources, foreignAt)
	other.routes, in.routes = partition(in.routes, func(r route) bool { return foreign(r.to.Addr()) })
	other.unicast = in.unicast && len(other.peers) > 0
	other.track = tracking{
		scripts:    slices.Clone(in.track.scripts),
		interfaces: slices.Clone(in.track.interfaces),
		files:      slices.Clone(in.track.files),
		processes:  slices.Clone(in.track.processes),
	}
	if !slices.ContainsFunc(other.vips, func(v vip) bool { return !v.excluded }) {
		// An advert must list at least one address (RFC 9568 section 5.2.5).
		for i := range other.vips {
			other.vips[i].excluded = false
		}
	}
	other.version = 0
	if suffix == "_v4" {
		other.version = t.version
	}
	other.auth = auth{}
	t.settleVersion(&other)
	t.warn(in.at, &other.notes, "vrrp_instance %s carries both families; its %s addresses become instance %s with the same vrid, in one sync group. keepalived sends no adverts for them: switch both hosts to hafast at the same time", in.name, family, other.name)
	t.instances[other.name] = &other

	g := in.group
	if g == nil {
		g = &group{name: t.freeName(in.name + "_both"), at: in.at, weights: true}
		t.groups[g.name] = g
		t.doc.groups = append(t.doc.groups, g)
		in.group = g
		g.members = []string{in.name}
	}
	other.group = g
	g.members = append(g.members, other.name)
	return &other
}

// freeName finds a name no instance and no group has.
func (t *translator) freeName(name string) string {
	for t.instances[name] != nil || t.groups[name] != nil {
		name += "_"
	}
	return name
}

// dropForeign warns of peers, sources and routes whose family is not that of
// the instance's addresses.
func (t *translator) dropForeign(in *instance) {
	v6 := in.ipv6()
	foreign := func(a addrAt) bool { return a.Is6() != v6 }
	var peers, sources []addrAt
	peers, in.peers = partition(in.peers, foreign)
	sources, in.sources = partition(in.sources, foreign)
	for _, a := range append(peers, sources...) {
		t.warn(a.at, &in.notes, "vrrp_instance %s: %s is not of the family of its addresses; left out", in.name, a.Addr)
	}
	for len(in.sources) > 1 {
		t.warn(in.at, &in.notes, "vrrp_instance %s has several source addresses; %s is left out", in.name, in.sources[0].Addr)
		in.sources = in.sources[1:]
	}
}

// partition divides a list in two, keeping the order.
func partition[T any](list []T, pick func(T) bool) (picked, rest []T) {
	for _, v := range list {
		if pick(v) {
			picked = append(picked, v)
		} else {
			rest = append(rest, v)
		}
	}
	return picked, rest
}
