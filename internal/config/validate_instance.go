// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// validateInstance checks one virtual router by itself.
func (d *decoder) validateInstance(c *Config, inst *Instance) {
	at := inst.Place.Key
	if inst.VIPs != nil && len(inst.VIPs) == 0 {
		d.at(at+".vips", "vips is empty", "write at least one address")
	}
	v6, known := inst.family()
	if known {
		d.validateFamily(inst, v6)
		d.validatePeers(c, inst, v6)
	}
	d.validateVersion(inst, known && v6)
	d.validateTrack(c, inst)
	for j, r := range inst.Routes {
		path := fmt.Sprintf("%s.routes[%d]", at, j)
		d.sameFamily(path+".via", r.Via, r.To.Addr().Is6(), "the route's destination")
		d.sameFamily(path+".source", r.Source, r.To.Addr().Is6(), "the route's destination")
	}
}

func (d *decoder) sameFamily(path string, a netip.Addr, v6 bool, other string) {
	if a.IsValid() && a.Is6() != v6 {
		d.at(path, fmt.Sprintf("%s %s is %s, %s is %s", last(path), a, family(a.Is6()), other, family(v6)),
			fmt.Sprintf("write an %s address", family(v6)))
	}
}

func (d *decoder) validateFamily(inst *Instance, v6 bool) {
	at := inst.Place.Key
	first := netip.Addr{}
	advertised := false
	for j, vip := range inst.VIPs {
		path := fmt.Sprintf("%s.vips[%d]", at, j)
		addr := vip.Prefix.Addr()
		if !addr.IsValid() {
			advertised = true
			continue
		}
		advertised = advertised || vip.Advertise
		if !first.IsValid() {
			first = addr
		}
		if addr.Is6() != v6 {
			d.at(path, fmt.Sprintf("VIP %s is %s, but %s before it is %s", addr, family(!v6), first, family(v6)),
				fmt.Sprintf("move the %s addresses to an instance of their own", family(!v6)))
			continue
		}
		switch {
		case vip.Label == "":
		case v6:
			d.at(path+".label", "label on an IPv6 address", "leave it out: the kernel has labels for IPv4 alone")
		case !labelFits(vip.Label, vip.Interface):
			d.at(path+".label", "label is "+printable(vip.Label),
				fmt.Sprintf("write at most 15 bytes that start with %s", vip.Interface))
		}
	}
	if !advertised {
		d.at(at+".vips", "no VIP is advertised", "leave advertise: false out of at least one of them")
	}
	d.sameFamily(at+".source", inst.Source, v6, "the instance")
}

func (d *decoder) validatePeers(c *Config, inst *Instance, v6 bool) {
	at := inst.Place.Key
	own := d.places.isSet(at + ".peers")
	if own {
		d.uniqueAddrs(at+".peers", inst.Peers)
	}
	for j, peer := range inst.Peers {
		path := fmt.Sprintf("%s.peers[%d]", at, j)
		if !own {
			path = "peers"
		}
		if own && peer.IsValid() && peer.Is6() != v6 {
			d.at(path, fmt.Sprintf("peer %s is %s, the instance's VIPs are %s", peer, family(!v6), family(v6)),
				fmt.Sprintf("write the peer's %s address", family(v6)))
		}
		if peer.IsValid() && peer == inst.Source {
			d.at(path, fmt.Sprintf("peer %s is this host's own source", peer), "peers are the other hosts: leave this one out")
		}
		for _, vip := range inst.VIPs {
			if own && peer.IsValid() && vip.Prefix.Addr() == peer {
				d.at(path, fmt.Sprintf("peer %s is a VIP", peer), "write the other host's own address")
			}
		}
	}
	if inst.Source.IsValid() {
		for j, vip := range inst.VIPs {
			if vip.Prefix.Addr() == inst.Source && inst.Priority != 255 {
				d.at(fmt.Sprintf("%s.vips[%d]", at, j), fmt.Sprintf("VIP %s is also the source of the adverts", inst.Source),
					"write this host's own address as source, or priority: 255 if it owns the VIP")
			}
		}
	}
	if inst.Unicast && len(inst.Peers) == 0 {
		d.at(at+".unicast", fmt.Sprintf("unicast without an %s peer", family(v6)),
			fmt.Sprintf("add the other hosts' %s addresses to peers", family(v6)))
	}
}

// validateVersion checks what differs between RFC 3768 and RFC 9568: the address
// families, the unit of the interval and authentication.
func (d *decoder) validateVersion(inst *Instance, v6 bool) {
	at := inst.Place.Key
	every := inst.AdvertInterval
	if inst.Version == 2 {
		if v6 {
			d.at(at+".version", "version 2 with IPv6 VIPs", "write version: 3: version 2 is IPv4 only")
		}
		if every%time.Second != 0 || every < time.Second {
			d.at(at+".advert_interval", fmt.Sprintf("advert_interval %s with version 2", every),
				"write whole seconds, such as 1s, or use version: 3")
		}
		return
	}
	switch {
	case every > 4095*centisecond:
		d.at(at+".advert_interval", fmt.Sprintf("advert_interval %s is too long for version 3", every), "write 40.95s or less")
	case every%centisecond != 0:
		d.at(at+".advert_interval", fmt.Sprintf("advert_interval %s is no multiple of 10ms", every),
			fmt.Sprintf("write %s: adverts carry hundredths of a second", max(centisecond, every.Round(centisecond))))
	}
	if d.places.isSet(at + ".auth") {
		d.at(at+".auth", "auth with version 3", "leave auth out: version 3 has none (RFC 9568 section 9); or write version: 2")
	}
}

func (d *decoder) validateTrack(c *Config, inst *Instance) {
	at := inst.Place.Key + ".track"
	names := make([]string, len(c.Scripts))
	for i, s := range c.Scripts {
		names[i] = s.Name
	}
	for j, t := range inst.Track.Scripts {
		path := fmt.Sprintf("%s.scripts[%d]", at, j)
		switch {
		case t.Name == "" || slices.Contains(names, t.Name) || slices.Contains(names, ""):
		case len(c.Scripts) == 0:
			d.at(path, "unknown script "+t.Name, "add it to scripts: at the top, with its name and command")
		default:
			d.at(path, "unknown script "+t.Name, suggest(t.Name, names))
		}
	}
	tracked := func(what, list string, n int, name func(i int) string) {
		unique(d, what, n, func(i int) (string, string) {
			return name(i), fmt.Sprintf("%s.%s[%d]", at, list, i)
		})
	}
	t := inst.Track
	tracked("tracked script", "scripts", len(t.Scripts), func(i int) string { return t.Scripts[i].Name })
	tracked("tracked interface", "interfaces", len(t.Interfaces), func(i int) string { return t.Interfaces[i].Name })
	tracked("tracked file", "files", len(t.Files), func(i int) string { return t.Files[i].Path })
	tracked("tracked process", "processes", len(t.Processes), func(i int) string { return t.Processes[i].Name })
}
