// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hafast/internal/config"
)

// ipv6 reports the instance's family, by its first address.
func (in *instance) ipv6() bool {
	for _, excluded := range []bool{false, true} {
		for _, v := range in.vips {
			if v.excluded == excluded {
				return v.prefix.Addr().Is6()
			}
		}
	}
	return len(in.peers) > 0 && in.peers[0].Is6()
}

// addresses translates virtual_ipaddress and virtual_ipaddress_excluded.
func (t *translator) addresses(in *instance, block *node) {
	to := &in.notes
	t.extraArgs(block, to, 0)
	for _, n := range block.children {
		v := vip{excluded: block.keyword == "virtual_ipaddress_excluded"}
		prefix, err := parsePrefix(n.keyword)
		if err != nil {
			t.warn(n.at, to, "%s %s: not an address; left out", block.keyword, quote(n.title()))
			continue
		}
		if slices.ContainsFunc(in.vips, func(v vip) bool { return v.prefix.Addr() == prefix.Addr() }) {
			t.warn(n.at, to, "%s %s: the address is there twice; left out", block.keyword, quote(n.title()))
			continue
		}
		if remedy := config.VIPRemedy(prefix); remedy != "" {
			t.warn(n.at, to, "%s %s: not the address of a host: %s; left out", block.keyword, quote(n.title()), remedy)
			continue
		}
		v.prefix, v.at = prefix, n.at
		t.extraBlock(n, to)
		var ignored []string
		for i := 0; i < len(n.args); i++ {
			option := n.args[i]
			takesValue := false
			switch option {
			case "dev", "label", "scope", "brd", "broadcast", "peer", "preferred_lft", "track_group":
				takesValue = true
			}
			value := ""
			if takesValue {
				i++
				value = n.arg(i)
			}
			switch {
			case option == "dev" && value != "":
				v.iface = t.device(n.at, to, option, value)
			case option == "label" && value != "":
				v.label = value
			case option == "scope" && value == "global": // what an address has anyway
			default:
				ignored = append(ignored, strings.TrimSpace(option+" "+value))
			}
		}
		if len(ignored) > 0 {
			t.warn(n.at, to, "%s: left out %s; hafast knows an address, its length, its interface and its label", n.title(), quote(clip(strings.Join(ignored, ", "))))
		}
		in.vips = append(in.vips, v)
	}
}

// parsePrefix reads an address with or without a length.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(addr.WithZone("").Unmap(), addr.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// prefixText is the address alone where the length is that of a single host.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// unicastPeers translates unicast_peer.
func (t *translator) unicastPeers(in *instance, block *node) {
	to := &in.notes
	t.extraArgs(block, to, 0)
	if len(block.children) == 0 {
		t.warn(block.at, to, "unicast_peer names nobody; the instance stays on multicast")
		return
	}
	in.unicast, in.unicastAt = true, block.at
	for _, n := range block.children {
		addr, ok := t.hostAddress(n.at, to, block.keyword, n.keyword)
		if !ok {
			continue
		}
		if len(n.args) > 0 {
			t.warn(n.at, to, "unicast_peer %s: left out %s; hafast accepts TTL 255 alone (RFC 9568 section 5.1.1.3)", n.keyword, quote(clip(strings.Join(n.args, " "))))
		}
		t.extraBlock(n, to)
		if slices.ContainsFunc(in.peers, func(p addrAt) bool { return p.Addr == addr }) {
			t.warn(n.at, to, "unicast_peer %s: the address is there twice; left out", n.keyword)
			continue
		}
		in.peers = append(in.peers, addrAt{addr, n.at})
	}
}

// hostAddress reads the address of a host. keepalived takes one with a prefix
// length, too, and looks at the address alone.
func (t *translator) hostAddress(at place, to *notes, keyword, s string) (netip.Addr, bool) {
	text, length, _ := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if _, lengthErr := strconv.ParseUint(cmp.Or(length, "0"), 10, 8); err != nil || lengthErr != nil {
		t.warn(at, to, "%s %s: not an address; left out", keyword, quote(clip(s)))
		return netip.Addr{}, false
	}
	if addr.Zone() != "" {
		t.warn(at, to, "%s %s: hafast takes no zone; left out %s", keyword, quote(clip(s)), quote("%"+addr.Zone()))
	}
	addr = addr.WithZone("").Unmap()
	if remedy := config.AddressRemedy(addr); remedy != "" {
		t.warn(at, to, "%s %s: not the address of a host: %s; left out", keyword, quote(clip(s)), remedy)
		return netip.Addr{}, false
	}
	return addr, true
}

// routes translates virtual_routes.
func (t *translator) routes(in *instance, block *node) {
	t.extraArgs(block, &in.notes, 0)
	for _, n := range block.children {
		if r, ok := t.route(in, n); ok {
			r.at = n.at
			in.routes = append(in.routes, r)
		}
		t.extraBlock(n, &in.notes)
	}
}

// route reads one line in the syntax of "ip route add".
func (t *translator) route(in *instance, n *node) (route, bool) {
	to := &in.notes
	fail := func(reason string) (route, bool) {
		t.warn(n.at, to, "virtual_routes %s: %s; the route is left out", quote(n.title()), reason)
		return route{}, false
	}
	var r route
	var ignored []string
	isDefault := false
	words := n.words()
	for i := 0; i < len(words); i++ {
		option := words[i]
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		var err error
		switch option {
		case "src":
			r.source, err = netip.ParseAddr(value)
			i++
		case "via", "gw":
			r.via, err = netip.ParseAddr(value)
			i++
		case "dev", "oif":
			r.iface = t.device(n.at, to, option, value)
			i++
		case "metric", "priority", "preference":
			r.metric, err = strconv.Atoi(value)
			i++
		case "table":
			if r.table, err = tableNumber(value); err != nil {
				return fail("hafast takes routing tables by number, write it by hand")
			}
			i++
		case "to":
		case "default":
			isDefault = true
		case "blackhole", "unreachable", "prohibit", "throw", "nexthop", "or", "encap", "local", "broadcast", "multicast", "nat":
			return fail("hafast has no " + option)
		case "no_track", "onlink", "append", "inet", "inet6":
			ignored = append(ignored, option)
		default:
			prefix, perr := parsePrefix(option)
			if perr == nil && !r.to.IsValid() {
				r.to = prefix.Masked()
				continue
			}
			ignored = append(ignored, strings.TrimSpace(option+" "+value))
			i++
		}
		if err != nil {
			return fail("cannot read " + option + " " + quote(value))
		}
	}
	if isDefault {
		r.to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if r.via.Is6() || r.source.Is6() {
			r.to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	if !r.to.IsValid() {
		return fail("no destination can be read here")
	}
	if len(ignored) > 0 {
		t.warn(n.at, to, "virtual_routes %s: left out %s", r.to, quote(clip(strings.Join(ignored, ", "))))
	}
	return r, true
}

// tableNumber knows the names every system has (/etc/iproute2/rt_tables).
func tableNumber(s string) (int, error) {
	switch s {
	case "main":
		return 0, nil
	case "default":
		return 253, nil
	case "local":
		return 255, nil
	}
	v, err := strconv.ParseUint(s, 10, 31)
	if v == 254 {
		v = 0 // main
	}
	return int(v), err
}
