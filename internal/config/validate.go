// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hafast/internal/steering"
)

// MaxPeers is what the data path has room for beside this host.
const MaxPeers = steering.MaxTargets - 1

// validate checks the rules that bind several keys. Values that could not be
// read are zero by now and have been reported, so they are passed over.
func (d *decoder) validate(c *Config) {
	if c.Node == "" && !d.places.isSet("node") {
		d.at("", "key node is missing, and the system has no host name", "add node: with a name for this host")
	}
	d.validateInterfaces(c)
	d.uniqueAddrs("peers", c.Peers)
	if n := len(c.Peers); n > MaxPeers {
		d.at("peers", fmt.Sprintf("%d peers are too many", n), fmt.Sprintf("name at most %d: flows go to no more hosts than that and this one", MaxPeers))
	}
	d.validateSync(c)
	if c.Instances != nil && len(c.Instances) == 0 {
		d.at("instances", "instances is empty", "write at least one instance with its vrid and vips")
	}
	for i := range c.Instances {
		d.validateInstance(c, &c.Instances[i])
	}
	d.validateRouters(c)
	d.validateVIPs(c)
	d.validateSyncGroups(c)
	unique(d, "script", len(c.Scripts), func(i int) (string, string) {
		return c.Scripts[i].Name, fmt.Sprintf("scripts[%d].name", i)
	})
	d.validateServices(c)
}

// at reports a problem of the key at path.
func (d *decoder) at(path, text, mend string) {
	d.fail(d.places.Of(path).Line, text, mend)
}

// unique reports names that are given twice. The name "" is none.
func unique(d *decoder, what string, n int, at func(i int) (name, path string)) {
	seen := map[string]string{}
	for i := range n {
		name, path := at(i)
		if name == "" {
			continue
		}
		if first, dup := seen[name]; dup {
			d.at(path, fmt.Sprintf("%s %s is there twice, first on line %d", what, name, d.places.Of(first).Line),
				"give each a name of its own")
			continue
		}
		seen[name] = path
	}
}

func (d *decoder) uniqueAddrs(path string, addrs []netip.Addr) {
	seen := map[netip.Addr]bool{}
	for i, a := range addrs {
		if a.IsValid() && seen[a] {
			d.at(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("peer %s is there twice", a), "keep one of them")
		}
		seen[a] = true
	}
}

func (d *decoder) validateInterfaces(c *Config) {
	if d.places.isSet("interface") {
		return
	}
	lacks := func(inst Instance) bool { return !d.places.isSet(inst.Place.Key + ".interface") }
	if len(c.Instances) == 0 || slices.ContainsFunc(c.Instances, lacks) {
		d.at("", "key interface is missing", "add interface: with the network interface VRRP runs on, such as eth0")
	}
}

// validateRouters checks what tells instances apart: RFC 9568 section 5.2.3 has
// a VRID unique per link and address family.
func (d *decoder) validateRouters(c *Config) {
	unique(d, "instance", len(c.Instances), func(i int) (string, string) {
		return c.Instances[i].Name, c.Instances[i].Place.Key + ".name"
	})
	type router struct {
		device string
		v6     bool
		vrid   uint8
	}
	seen := map[router]string{}
	for _, inst := range c.Instances {
		v6, known := inst.family()
		if !known || inst.VRID == 0 || inst.Interface == "" {
			continue
		}
		key := router{inst.Interface, v6, inst.VRID}
		path := inst.Place.Key + ".vrid"
		if first, dup := seen[key]; dup {
			d.at(path, fmt.Sprintf("vrid %d is there twice for %s on %s, first on line %d",
				inst.VRID, family(v6), inst.Interface, d.places.Of(first).Line),
				"give each instance of an interface its own vrid, the same one on all hosts")
			continue
		}
		seen[key] = path
	}
}

func (d *decoder) validateVIPs(c *Config) {
	type place struct {
		addr   netip.Addr
		device string
	}
	seen := map[place]string{}
	peers := map[netip.Addr]bool{}
	for _, peer := range c.Peers {
		peers[peer] = true
	}
	for _, inst := range c.Instances {
		for j, vip := range inst.VIPs {
			path := fmt.Sprintf("%s.vips[%d]", inst.Place.Key, j)
			addr := vip.Prefix.Addr()
			if !addr.IsValid() {
				continue
			}
			key := place{addr: addr}
			if addr.IsLinkLocalUnicast() {
				// One link-local address may live on several links.
				key.device = vip.Interface
			}
			if first, dup := seen[key]; dup {
				d.at(path, fmt.Sprintf("VIP %s is there twice, first on line %d", addr, d.places.Of(first).Line), "keep one of them")
				continue
			}
			seen[key] = path
			if peers[addr] {
				d.at(path, fmt.Sprintf("VIP %s is also one of peers", addr), "peers are the other hosts' own addresses: take the VIP out there")
			}
		}
	}
}

func (d *decoder) validateSyncGroups(c *Config) {
	unique(d, "sync group", len(c.SyncGroups), func(i int) (string, string) {
		return c.SyncGroups[i].Name, fmt.Sprintf("sync_groups[%d].name", i)
	})
	names := make([]string, len(c.Instances))
	for i, inst := range c.Instances {
		names[i] = inst.Name
	}
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	group := map[string]string{}
	for _, g := range c.SyncGroups {
		key := g.Place.Key + ".instances"
		if g.Instances != nil && len(g.Instances) == 0 {
			d.at(key, "instances is empty", "name the instances of the group")
		}
		for j, name := range g.Instances {
			path := fmt.Sprintf("%s[%d]", key, j)
			switch first, dup := group[name]; {
			case name == "":
			case dup:
				d.at(path, fmt.Sprintf("instance %s is in sync group %s already", name, first), "leave it in one group")
			case !known[name] && known[""]:
				// It may be the one whose name could not be read.
			case !known[name]:
				d.at(path, "unknown instance "+name, suggest(name, names))
			default:
				group[name] = g.Name
			}
		}
	}
}

func (d *decoder) validateServices(c *Config) {
	for i, s := range c.Services {
		known := !s.VIP.IsValid()
		for _, inst := range c.Instances {
			for _, vip := range inst.VIPs {
				known = known || vip.Prefix.Addr() == s.VIP
			}
		}
		if !known {
			d.at(fmt.Sprintf("services[%d].vip", i), fmt.Sprintf("%s is the VIP of no instance", s.VIP), "write one of the addresses under vips")
		}
	}
}

// family names an address family in messages.
func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// labelFits reports whether the kernel takes the label (RTM_NEWADDR's IFA_LABEL).
func labelFits(label, device string) bool {
	return len(label) <= 15 && (device == "" || strings.HasPrefix(label, device))
}

const centisecond = 10 * time.Millisecond
