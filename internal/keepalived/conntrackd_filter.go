// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"net/netip"
	"slices"
	"strings"
)

// syncFilter is what sync.filter will say; an empty list leaves hafast's default.
type syncFilter struct {
	protocols []string
	ignored   []ignoredNetwork
	states    []string
	// foreign: conntrackd replicates nothing that hafast could.
	foreign bool
}

// ignoredNetwork is a line of Address Ignore.
type ignoredNetwork struct {
	at     *node
	prefix netip.Prefix
}

// word is how conntrackd and hafast call the same thing.
type word struct{ conntrackd, hafast string }

// In the order of the configuration's documentation.
var (
	filterProtocols = []word{{"tcp", "tcp"}, {"udp", "udp"}, {"icmp", "icmp"}, {"ipv6-icmp", "icmpv6"}}
	filterStates    = []word{
		{"syn_sent", "syn_sent"},
		{"syn_recv", "syn_recv"},
		{"established", "established"},
		{"fin_wait", "fin_wait"},
		{"close_wait", "close_wait"},
		{"last_ack", "last_ack"},
		{"time_wait", "time_wait"},
		{"closed", "close"},
	}
)

// hafast's own defaults, which need not be said.
var (
	defaultProtocols = []string{"tcp", "udp"}
	defaultStates    = []string{"established", "fin_wait", "close_wait", "last_ack"}
)

// conntrackdFilter translates Filter. Where it runs, which is what stands behind From,
// makes no difference: hafast's runs in the kernel.
func (t *translator) conntrackdFilter(block *node) {
	to := &t.doc.sync.notes
	if where := block.args; len(where) != 2 || where[0] != "From" || where[1] != "Userspace" && where[1] != "Kernelspace" {
		t.extraArgs(block, to, 0)
	}
	for _, n := range block.children {
		accept := n.arg(0) == "Accept"
		switch {
		case !accept && n.arg(0) != "Ignore":
			t.leftOut(n, to, "neither Accept nor Ignore; left out", n.keyword == "Protocol" || n.keyword == "Address" || n.keyword == "State")
			continue
		case n.keyword == "Protocol":
			t.filterProtocols(n, accept)
		case n.keyword == "Address" && accept:
			t.warn(n.at, to, "%s {%s}: hafast has no list of addresses to replicate, only sync.filter.ignore; left out", n.title(), n.items())
		case n.keyword == "Address":
			t.filterAddresses(n)
		case n.keyword == "State":
			t.filterStates(n, accept)
		default:
			t.leftOut(n, to, "", false)
		}
		t.extraArgs(n, to, 1)
	}
}

// items is what a block lists, on one line.
func (n *node) items() string {
	var items []string
	for _, c := range n.children {
		items = append(items, strings.Join(c.words(), " "))
	}
	return clip(strings.Join(items, ", "))
}

func (t *translator) filterProtocols(block *node, accept bool) {
	f, to := &t.doc.sync.filter, &t.doc.sync.notes
	named := map[string]bool{}
	for _, n := range block.children {
		for _, name := range n.words() {
			known := slices.ContainsFunc(filterProtocols, func(w word) bool { return strings.EqualFold(name, w.conntrackd) })
			switch {
			case known:
				named[strings.ToLower(name)] = true
			case accept:
				t.warn(n.at, to, "%s %s: hafast replicates TCP, UDP, ICMP and ICMPv6 alone; left out", block.title(), quote(clip(name)))
			}
			if known && accept && strings.Contains(strings.ToLower(name), "icmp") {
				t.warn(n.at, to, "%s %s: the kernel calls no entry of ICMP assured; with it, hafast replicates those of UDP that nothing has answered too", block.title(), name)
			}
		}
	}
	f.protocols = chosen(filterProtocols, named, accept)
	if !accept {
		f.protocols = slices.DeleteFunc(f.protocols, func(name string) bool { return !slices.Contains(defaultProtocols, name) })
		t.warn(block.at, to, "%s {%s}: conntrackd replicates all others, hafast TCP and UDP unless sync.filter.protocols says otherwise", block.title(), block.items())
	}
	if f.foreign = len(f.protocols) == 0; f.foreign {
		t.warn(block.at, to, "%s {%s}: this leaves nothing that hafast replicates; conntrack is turned off", block.title(), block.items())
	}
}

func (t *translator) filterAddresses(block *node) {
	f, to := &t.doc.sync.filter, &t.doc.sync.notes
	for _, n := range block.children {
		if n.keyword != "IPv4_address" && n.keyword != "IPv6_address" {
			t.leftOut(n, to, "", false)
			continue
		}
		t.extraArgs(n, to, 1)
		p, ok := network(n.arg(0))
		switch {
		case !ok || p.Addr().Is4() != (n.keyword == "IPv4_address"):
			t.leftOut(n, to, "neither an address nor a network of that family; left out", true)
		case p.Bits() == 0:
			t.leftOut(n, to, "this is every address there is; left out", true)
		default:
			f.ignored = append(f.ignored, ignoredNetwork{n, p})
		}
	}
}

// network reads an address, or a network in CIDR notation.
func network(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.WithZone("").Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}

// filterStates reads "STATE ... for TCP".
func (t *translator) filterStates(block *node, accept bool) {
	f, to := &t.doc.sync.filter, &t.doc.sync.notes
	named := map[string]bool{}
	for _, n := range block.children {
		for _, name := range n.words() {
			lower := strings.ToLower(name)
			switch {
			case lower == "for" || lower == "tcp":
			case lower == "close": // another name of it in conntrackd
				named["closed"] = true
			case slices.ContainsFunc(filterStates, func(w word) bool { return lower == w.conntrackd }):
				named[lower] = true
			default:
				t.warn(n.at, to, "%s %s: no connection is replicated in such a state; left out", block.title(), quote(clip(name)))
			}
		}
	}
	if f.states = chosen(filterStates, named, accept); len(f.states) == 0 {
		t.warn(block.at, to, "%s {%s}: this leaves no state in which a connection would be replicated; left out", block.title(), block.items())
	}
}

// chosen are the words that are named, or those that are not, as hafast calls them.
func chosen(all []word, named map[string]bool, wanted bool) []string {
	var out []string
	for _, w := range all {
		if named[w.conntrackd] == wanted {
			out = append(out, w.hafast)
		}
	}
	return out
}

// settleSync takes those of conntrackd's ignored addresses out that hafast knows by
// itself, and the VIPs: conntrackd looks at the two real ends of a connection, hafast
// at the translated ones too.
func (t *translator) settleSync() {
	s := t.doc.sync
	if s == nil {
		return
	}
	own := append(slices.Clone(s.peers), s.listen)
	others := slices.Clone(t.doc.peers)
	var vips []netip.Addr
	for _, in := range t.doc.instances {
		others = slices.Concat(others, in.peers, in.sources)
		for _, v := range in.vips {
			vips = append(vips, v.prefix.Addr())
		}
	}
	for _, a := range others {
		own = append(own, a.Addr)
	}
	var kept []ignoredNetwork
	for _, ig := range s.filter.ignored {
		at := slices.IndexFunc(vips, ig.prefix.Contains)
		switch {
		case ig.prefix.Addr().IsLoopback(), ig.prefix.IsSingleIP() && slices.Contains(own, ig.prefix.Addr()):
			t.leftOut(ig.at, &s.notes, "hafast ignores loopback and the hosts' own addresses by itself; left out", true)
		case at >= 0:
			t.warn(ig.at.at, &s.notes, "%s: connections that are translated to VIP %s move with it, and hafast would not replicate them; left out", ig.at.title(), vips[at])
		case !slices.ContainsFunc(kept, func(k ignoredNetwork) bool { return k.prefix == ig.prefix }):
			kept = append(kept, ig)
		}
	}
	s.filter.ignored = kept
}

// yaml says what is not hafast's default. Without instances nobody knows the VIPs.
func (f *syncFilter) yaml(vipsKnown bool) yamlMap {
	var m yamlMap
	plain := func(s string) scalar { return scalar(s) }
	if len(f.protocols) > 0 && !slices.Equal(f.protocols, defaultProtocols) {
		m.add("protocols", flowList(f.protocols, plain))
	}
	if len(f.ignored) > 0 {
		m.add("ignore", flowList(f.ignored, func(ig ignoredNetwork) scalar { return prefix(ig.prefix) }))
		if !vipsKnown {
			m[len(m)-1].above.add("Take VIPs out: connections that are translated to one move with it.")
		}
	}
	if len(f.states) > 0 && !slices.Equal(f.states, defaultStates) {
		m.add("tcp_states", flowList(f.states, plain))
	}
	return m
}
