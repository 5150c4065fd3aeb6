// SPDX-License-Identifier: Apache-2.0

package keepalived

import "time"

// passwordSize is the room for a password in a version 2 advert (RFC 2338
// section 5.3.6.1).
const passwordSize = 8

// instance translates vrrp_instance.
func (t *translator) instance(block *node) {
	name := block.arg(0)
	if !t.named(block, t.instances[name] != nil) {
		return
	}
	in := &instance{name: name, at: block.at, preempt: true, accept: true, advert: time.Second, checksumAsV2: t.checksumAsV2}
	for _, n := range block.children {
		t.instanceKeyword(in, n)
	}
	if in.vrid == 0 {
		t.incomplete(block.at, &in.notes, "vrrp_instance %s has no virtual_router_id; add a vrid, the same on all hosts", name)
	}
	t.instances[name] = in
	t.doc.instances = append(t.doc.instances, in)
}

func (t *translator) instanceKeyword(in *instance, n *node) {
	to := &in.notes
	switch n.keyword {
	case "virtual_ipaddress", "virtual_ipaddress_excluded":
		t.addresses(in, n)
		return
	case "virtual_routes":
		t.routes(in, n)
		return
	case "virtual_rules":
		t.rules(in, n)
		return
	case "auth_hmac":
		t.leftOut(n, to, reasonHMAC, true)
		return
	case "unicast_peer":
		t.unicastPeers(in, n)
		return
	case "authentication":
		t.authentication(in, n)
		return
	}
	if t.trackKeyword(n, &in.track, to) {
		return
	}
	switch n.keyword {
	case "state":
		in.state = n.arg(0)
		t.extraArgs(n, to, 1)
	case "interface":
		in.iface = t.device(n.at, to, n.keyword, n.arg(0))
		t.extraArgs(n, to, 1)
	case "virtual_router_id":
		if v, ok := t.integer(n, to, 1, 255); ok {
			in.vrid, in.vridAt = v, n.at
		}
	case "priority":
		if v, ok := t.integer(n, to, 1, 255); ok {
			in.priority = v
		}
	case "advert_int":
		if v, ok := t.seconds(n, to, 255*time.Second); ok {
			in.advert, in.advertAt = v, n
		}
	case "version":
		if v, ok := t.integer(n, to, 2, 3); ok {
			in.version = v
		}
	case "preempt":
		in.nopreempt, in.preempt = nil, true
		t.extraArgs(n, to, 0)
	case "nopreempt":
		in.nopreempt, in.preempt = n, false
		t.extraArgs(n, to, 0)
	case "preempt_delay":
		if v, ok := t.seconds(n, to, 1000*time.Second); ok {
			in.preemptDelay, in.delayAt = v, n
		}
	case "unicast_src_ip", "mcast_src_ip":
		if addr, ok := t.hostAddress(n.at, to, n.keyword, n.arg(0)); ok {
			in.sources = append(in.sources, addrAt{addr, n.at})
		}
		t.extraArgs(n, to, 1)
	case "v3_checksum_as_v2":
		in.checksumAsV2 = t.flag(n, to)
	case "use_vmac":
		in.virtualMAC = true
		if len(n.args) > 0 {
			t.warn(n.at, to, "%s: hafast names the macvlan itself and uses the MAC address of RFC 9568; only virtual_mac is carried over", n.title())
		}
	case "accept", "no_accept":
		in.accept = n.keyword == "accept"
		t.extraArgs(n, to, 0)
	case "native_ipv6":
		t.extraArgs(n, to, 0)
		in.notes.add("native_ipv6 is not needed: the addresses tell the family.")
	default:
		if t.announceKeyword(n, n.keyword, &in.announce) || t.notifyKeyword(n, &in.notify, to) {
			return
		}
		reason, known := reasonInstance(n.keyword)
		t.leftOut(n, to, reason, known)
		return
	}
	t.extraBlock(n, to)
}

// authentication reads auth_type and auth_pass. What becomes of it depends on
// the version, which settleVersion knows.
func (t *translator) authentication(in *instance, block *node) {
	to := &in.notes
	t.extraArgs(block, to, 0)
	in.auth.at = block
	for _, n := range block.children {
		switch n.keyword {
		case "auth_type":
			in.auth.kind = n.arg(0)
		case "auth_pass":
			in.auth.password = plainPassword(n)
			if len(n.args) > 1 {
				// Without the words themselves: they were meant to be secret.
				t.warn(n.at, to, "auth_pass: only the first word counts, in keepalived too")
			}
			t.extraBlock(n, to)
			continue
		default:
			t.leftOut(n, to, "", false)
			continue
		}
		t.extraArgs(n, to, 1)
		t.extraBlock(n, to)
	}
}

// settleVersion fixes the version and all that hangs on it.
func (t *translator) settleVersion(in *instance) {
	to := &in.notes
	explicit := in.version
	if in.version == 0 {
		in.version = t.version
	}
	if in.version == 2 && in.ipv6() {
		if explicit == 2 {
			t.warn(in.at, to, "vrrp_instance %s: IPv6 has no version 2; keepalived runs version 3 here, and so does hafast", in.name)
		}
		in.version = 3
	}
	t.settleAdvert(in)
	t.settleAuth(in)
}

// settleAdvert rounds the advert interval to what the version's packets can
// say, as keepalived does.
func (t *translator) settleAdvert(in *instance) {
	step, longest := 10*time.Millisecond, 40950*time.Millisecond
	if in.version == 2 {
		step, longest = time.Second, 255*time.Second
	}
	rounded := min(max(in.advert.Round(step), step), longest)
	if rounded != in.advert {
		t.warn(in.advertAt.at, &in.notes, "%s: version %d counts in steps of %s up to %s; taken as %s, as keepalived does", in.advertAt.title(), in.version, duration(step), duration(longest), duration(rounded))
		in.advert = rounded
	}
}

func (t *translator) settleAuth(in *instance) {
	a := &in.auth
	if a.at == nil {
		return
	}
	drop := func(format string, args ...any) {
		t.warn(a.at.at, &in.notes, format, args...)
		*a = auth{}
	}
	switch {
	case in.version == 3:
		drop("authentication: version 3 has none (RFC 9568 section 9), and keepalived ignores it too; left out")
	case a.kind == "AH":
		drop("authentication: hafast does not do auth_type AH; left out, a keepalived peer with AH will not understand it")
	case a.kind != "PASS":
		drop("authentication: auth_type %s is neither PASS nor AH; left out", quote(a.kind))
	case a.password == "":
		drop("authentication without auth_pass; left out")
	case len(a.password) > passwordSize:
		t.warn(a.at.at, &in.notes, "authentication: only the first %d bytes of auth_pass are sent, by keepalived too; shortened", passwordSize)
		a.password = a.password[:passwordSize]
	}
}

// settlePreemption applies keepalived's rules on state, priority and preemption.
func (t *translator) settlePreemption(in *instance) {
	to := &in.notes
	master := in.state == "MASTER"
	switch {
	case in.priority == 0 && master:
		in.priority = 255
		t.warn(in.at, to, "vrrp_instance %s has state MASTER and no priority: keepalived takes it for the address owner, priority 255", in.name)
	case in.priority == 0:
		in.priority = 100
	}
	if in.state != "" && len(t.doc.instanceNotes) == 0 {
		t.doc.instanceNotes.add("keepalived's state lines have no counterpart: who is Active is decided by priority alone.")
	}
	if in.nopreempt != nil && (master || in.priority == 255) {
		t.warn(in.nopreempt.at, to, "nopreempt: keepalived ignores it with state MASTER or priority 255, so it is left out; add preempt: false if it was meant")
		in.nopreempt, in.preempt = nil, true
	}
	if in.preemptDelay > 0 && (master || in.nopreempt != nil) {
		t.warn(in.delayAt.at, to, "%s: keepalived ignores it with state MASTER or nopreempt, so it is left out", in.delayAt.title())
		in.preemptDelay = 0
	}
}
