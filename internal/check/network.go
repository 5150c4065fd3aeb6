// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hafast/internal/config"
)

// links reads the interfaces by name; nil after an error, which network reports.
func (c *checker) links() map[string]Link {
	list, err := c.env.Links()
	if err != nil {
		return nil
	}
	links := make(map[string]Link, len(list))
	for _, l := range list {
		links[l.Name] = l
	}
	return links
}

// network checks each interface that is used, and each address it must have.
func (c *checker) network() {
	if _, err := c.env.Links(); err != nil {
		c.problem("interface", fmt.Sprintf("interfaces cannot be listed: %v", err), "run hafast check on the host itself")
		return
	}
	links := c.links()
	for i := range c.cfg.Instances {
		inst := &c.cfg.Instances[i]
		if link, ok := c.usable(links, inst.Interface, c.interfacePath(i)); ok {
			c.source(links, link, inst, i)
		}
		for j, vip := range inst.VIPs {
			if vip.Interface != inst.Interface {
				c.usable(links, vip.Interface, fmt.Sprintf("%s.vips[%d].interface", instancePath(i), j))
			}
		}
		for j, r := range inst.Routes {
			if r.Interface != inst.Interface {
				c.usable(links, r.Interface, fmt.Sprintf("%s.routes[%d].interface", instancePath(i), j))
			}
		}
		for j, t := range inst.Track.Interfaces {
			if _, ok := links[t.Name]; !ok {
				c.missing(links, t.Name, fmt.Sprintf("%s.track.interfaces[%d]", instancePath(i), j))
			}
		}
	}
}

// interfacePath is the key that chose an instance's interface.
func (c *checker) interfacePath(i int) string {
	if own := instancePath(i) + ".interface"; c.cfg.Places != nil {
		if _, set := c.cfg.Places[own]; set {
			return own
		}
	}
	return "interface"
}

func (c *checker) missing(links map[string]Link, name, path string) {
	var names []string
	for _, l := range links {
		if l.Name != "lo" {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	mend := "create it"
	if len(names) > 0 {
		mend += ", or write one of " + strings.Join(names, ", ")
	}
	c.problem(path, fmt.Sprintf("interface %s does not exist", name), mend)
}

func (c *checker) usable(links map[string]Link, name, path string) (Link, bool) {
	link, ok := links[name]
	switch {
	case !ok:
		c.missing(links, name, path)
	case !link.Up:
		c.problem(path, fmt.Sprintf("interface %s is down", name), fmt.Sprintf("ip link set %s up", name))
	case !link.Carrier:
		c.warning(path, fmt.Sprintf("interface %s has no carrier", name), "look at the cable, or at the other end")
	}
	return link, ok
}

// source checks that there is an address to send adverts from.
func (c *checker) source(links map[string]Link, link Link, inst *config.Instance, i int) {
	v6 := isV6(inst)
	if inst.Source.IsValid() {
		for _, l := range links {
			for _, p := range l.Addrs {
				if p.Addr() == inst.Source {
					return
				}
			}
		}
		c.problem(instancePath(i)+".source", fmt.Sprintf("source %s is on no interface of this host", inst.Source),
			"write one of this host's own addresses, or leave source out")
		return
	}
	for _, p := range link.Addrs {
		a := p.Addr()
		own := a.Is4() || a.IsLinkLocalUnicast()
		if a.Is6() == v6 && own && !isVIP(inst, a) {
			return
		}
	}
	if v6 {
		c.problem(c.interfacePath(i), fmt.Sprintf("interface %s has no IPv6 link-local address", link.Name),
			fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=0, or ip address add fe80::1/64 dev %s with an address that is unique there", link.Name, link.Name))
		return
	}
	c.problem(c.interfacePath(i), fmt.Sprintf("interface %s has no IPv4 address of its own", link.Name),
		fmt.Sprintf("add one, or set source: of instance %s", inst.Name))
}

func isVIP(inst *config.Instance, a netip.Addr) bool {
	return inst.Priority != ownerPriority &&
		slices.ContainsFunc(inst.VIPs, func(v config.VIP) bool { return v.Prefix.Addr() == a })
}

// ownerPriority marks the host that owns the address (RFC 9568 section 5.2.4).
const ownerPriority = 255

// peers checks that peers are others, and that somebody uses them.
func (c *checker) peers() {
	own := c.own()
	check := func(path string, peer netip.Addr) {
		if device, ok := own[peer]; ok {
			c.problem(path, fmt.Sprintf("peer %s is this host's own address, on %s", peer, device),
				"peers are the other hosts: leave this host's address out")
		}
	}
	for j, peer := range c.cfg.Peers {
		path := fmt.Sprintf("peers[%d]", j)
		check(path, peer)
		sameFamily := func(inst config.Instance) bool { return isV6(&inst) == peer.Is6() }
		if !slices.ContainsFunc(c.cfg.Instances, sameFamily) {
			c.warning(path, fmt.Sprintf("peer %s is %s, and no instance is", peer, family(peer.Is6())), "take it out, or add an instance of that family")
		}
	}
	for i, inst := range c.cfg.Instances {
		for j, peer := range inst.Peers {
			if !slices.Contains(c.cfg.Peers, peer) {
				check(fmt.Sprintf("%s.peers[%d]", instancePath(i), j), peer)
			}
		}
	}
}

// groups finds sync groups whose members do not agree on who should be Active.
func (c *checker) groups() {
	priority := make(map[string]uint8)
	for _, inst := range c.cfg.Instances {
		priority[inst.Name] = inst.Priority
	}
	for i, g := range c.cfg.SyncGroups {
		for _, name := range g.Instances[1:] {
			if first := g.Instances[0]; priority[name] != priority[first] {
				c.warning(fmt.Sprintf("sync_groups[%d].instances", i),
					fmt.Sprintf("%s has priority %d and %s has %d, but they change state together", first, priority[first], name, priority[name]),
					"give the instances of a group one priority on each host")
				break
			}
		}
	}
}

// heldVIPs finds VIPs that somebody else has put on an interface. A running
// hafast does so itself.
func (c *checker) heldVIPs() {
	if c.running {
		return
	}
	for _, link := range c.links() {
		if link.Name == "lo" {
			continue
		}
		for _, p := range link.Addrs {
			for i := range c.cfg.Instances {
				inst := &c.cfg.Instances[i]
				for j, vip := range inst.VIPs {
					if vip.Prefix.Addr() == p.Addr() && inst.Priority != ownerPriority {
						c.warning(fmt.Sprintf("%s.vips[%d]", instancePath(i), j),
							fmt.Sprintf("VIP %s is on %s already, and no hafast runs here", p.Addr(), link.Name),
							fmt.Sprintf("take it out of the network configuration: ip address del %s dev %s", p, link.Name))
					}
				}
			}
		}
	}
}
