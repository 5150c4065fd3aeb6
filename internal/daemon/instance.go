// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hafast/internal/config"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/metrics"
	"hafast/internal/ownership"
	"hafast/pkg/vrrp"
)

// How many addresses fit one advertisement that must not be fragmented on any
// link: 255 by the count field over IPv4, and over IPv6 what the minimum MTU of
// 1280 leaves. The others move with the instance without being listed.
const (
	maxAdvertised4 = 255
	maxAdvertised6 = (1280 - 40 - 8) / 16
)

// instance is what the loop knows of one virtual router besides its election.
type instance struct {
	config.Instance
	params vrrp.Params
	// key stands for the virtual router in hellos.
	key    uint32
	group  string
	source netip.Addr
	fault  string
	// effective is the priority that the host's own checks give.
	effective uint8
	// outOfService says why the host should not be chosen; empty when it may.
	outOfService string
	since        time.Time
	transitions  uint64
	// shown is what the metrics say.
	shown metrics.Instance
	// accused is set while a rival's claim waits to be answered.
	accused bool
	// waiting is set while others go first to take a lost Active's place.
	waiting *waiting
	// unwired: it is to begin as soon as its socket is open.
	unwired bool
	// late is how late the timer of the last promotion was.
	late time.Duration
}

// ipv6 tells the instance's family; a configuration has at least one VIP.
func (in *instance) ipv6() bool { return in.VIPs[0].Prefix.Addr().Is6() }

// virtualMAC is the source MAC of adverts, nil where the interface's own is used.
func (in *instance) virtualMAC() *[6]byte {
	if !in.VirtualMAC {
		return nil
	}
	mac := vrrp.VirtualMAC(in.VRID, in.ipv6())
	return &mac
}

// destinations are where adverts go: the group, or each peer.
func (in *instance) destinations() []netip.Addr {
	switch {
	case in.Unicast:
		return in.Peers
	case in.ipv6():
		return []netip.Addr{vrrp.Group6()}
	default:
		return []netip.Addr{vrrp.Group4()}
	}
}

func (in *instance) checksum() vrrp.Checksum {
	if in.Checksum == "rfc9568" {
		return vrrp.ChecksumRFC9568
	}
	return vrrp.ChecksumLegacy
}

func (in *instance) vips() []string {
	out := make([]string, len(in.VIPs))
	for i, a := range in.addresses() {
		out[i] = a.String()
	}
	return out
}

// addresses are the VIPs.
func (in *instance) addresses() []netip.Addr {
	out := make([]netip.Addr, len(in.VIPs))
	for i, v := range in.VIPs {
		out[i] = v.Prefix.Addr()
	}
	return out
}

// interfaces are all that must be there for the instance to take part.
func (in *instance) interfaces() []string {
	names := []string{in.Interface}
	for _, v := range in.VIPs {
		names = append(names, v.Interface)
	}
	for _, t := range in.Track.Interfaces {
		if t.Weight == 0 {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// paramsOf translates an instance's configuration for the election.
func (in *instance) paramsOf() vrrp.Params {
	limit := maxAdvertised4
	if in.ipv6() {
		limit = maxAdvertised6
	}
	var addresses []netip.Addr
	for _, v := range in.VIPs {
		if v.Advertise {
			addresses = append(addresses, v.Prefix.Addr())
		}
	}
	// RFC 9568 section 5.2.9: over IPv6 the first is a link-local address.
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int {
		return cmp.Compare(rank(a), rank(b))
	})
	addresses = addresses[:min(len(addresses), limit)]
	return vrrp.Params{
		Version: uint8(in.Version), VRID: in.VRID, Priority: in.Priority, Addresses: addresses,
		Interval: in.AdvertInterval, Preempt: in.Preempt, PreemptDelay: in.PreemptDelay, Password: in.Password,
	}
}

// rank sorts link-local addresses to the front.
func rank(a netip.Addr) int {
	if a.IsLinkLocalUnicast() && a.Is6() {
		return 0
	}
	return 1
}

func (in *instance) virtualRouter() vrrp.Instance {
	var peers []netip.Addr
	if in.Unicast {
		peers = in.Peers
	}
	return vrrp.Instance{Name: in.Name, Interface: in.Interface, Group: in.group, Peers: peers, Params: in.params}
}

// condition finds the source address of adverts among what the kernel says of
// the interfaces, and why the instance cannot take part; the reason is empty when
// it can.
func (in *instance) condition(links map[string]link.State, vip func(netip.Addr) bool) (source netip.Addr, fault string) {
	for _, name := range in.interfaces() {
		switch state, there := links[name]; {
		case !there:
			return netip.Addr{}, "interface " + name + " does not exist"
		case !state.Up:
			return netip.Addr{}, "interface " + name + " is down"
		}
	}
	home := links[in.Interface]
	switch {
	case in.Source.IsValid():
		if !home.Has(in.Source) {
			return netip.Addr{}, "interface " + in.Interface + " does not have the source address " + in.Source.String()
		}
		return in.Source, ""
	case in.ipv6() && in.Unicast && !in.Peers[0].IsLinkLocalUnicast():
		// The peers know this host by an address like theirs, and listen to no other.
		source = home.Global6(vip)
		fault = "interface " + in.Interface + " has no IPv6 address of its own that is not link-local"
	case in.ipv6():
		source = home.LinkLocal6(vip)
		fault = "interface " + in.Interface + " has no usable IPv6 link-local address"
	default:
		source = home.Primary4(vip)
		fault = "interface " + in.Interface + " has no IPv4 address of its own"
	}
	if source.IsValid() {
		return source, ""
	}
	return source, fault
}

// instancesOf lists the configuration's instances with their sync groups.
func instancesOf(cfg *config.Config) []*instance {
	groups := make(map[string]string)
	for _, g := range cfg.SyncGroups {
		for _, name := range g.Instances {
			groups[name] = g.Name
		}
	}
	out := make([]*instance, len(cfg.Instances))
	for i, c := range cfg.Instances {
		in := &instance{Instance: c, group: groups[c.Name], effective: c.Priority}
		in.params = in.paramsOf()
		in.key = membership.RouterKey(in.VRID, in.addresses())
		out[i] = in
	}
	return out
}

// ownedBy lists the instances' addresses for package ownership.
func ownedBy(cfg *config.Config) []ownership.Instance {
	out := make([]ownership.Instance, len(cfg.Instances))
	for i, c := range cfg.Instances {
		out[i] = ownership.FromConfig(c, cfg.Announce)
	}
	return out
}

// owned is ownedBy for the loop's configuration; what a predecessor was Active for
// until a moment ago stays where it is.
func (l *loop) owned() []ownership.Instance {
	out := ownedBy(l.cfg)
	for i := range out {
		out[i].Adopt = out[i].Adopt || l.resume[out[i].Name]
	}
	return out
}

// interfacesOf names all interfaces whose state matters.
func interfacesOf(instances []*instance) []string {
	names := []string{"lo"} // where a VIP may be removed by somebody
	for _, in := range instances {
		names = append(names, in.interfaces()...)
		if in.VirtualMAC {
			names = append(names, link.MacvlanName(in.ipv6(), in.VRID))
		}
		for _, t := range in.Track.Interfaces {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func virtualRouters(instances []*instance) []vrrp.Instance {
	out := make([]vrrp.Instance, len(instances))
	for i, in := range instances {
		out[i] = in.virtualRouter()
	}
	return out
}
