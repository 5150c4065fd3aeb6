// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"net"
	"net/netip"
	"slices"

	"hafast/internal/config"
	"hafast/internal/link"
	"hafast/pkg/vrrp"
)

const loopback = "lo"

// VIP is one virtual address and where it lives while this host is Active.
type VIP struct {
	Prefix    netip.Prefix
	Interface string
	Label     string
}

// VirtualMAC describes the macvlan device that carries the VIPs of Parent.
type VirtualMAC struct {
	Name, Parent string
	MAC          net.HardwareAddr
}

// Instance is one virtual router's addresses.
type Instance struct {
	Name   string
	VIPs   []VIP
	Routes []config.Route
	// Announce paces the announcements.
	Announce config.Announce
	// VirtualMAC is nil where the interface's own MAC is used.
	VirtualMAC *VirtualMAC
	// Accept is false if traffic to the VIPs is to be dropped (RFC 9568
	// section 6.1 Accept_Mode).
	Accept bool
	// AddressOwner is true for priority 255 (RFC 9568 section 1.6): VIPs found
	// on the interface by Prepare are the host's own addresses, and never removed.
	AddressOwner bool
	// Adopt leaves VIPs that Prepare finds on the interface, a killed
	// predecessor's, until the first Acquire or Release decides about them.
	// Otherwise they are removed at once, as the host starts out as no Active.
	Adopt bool
}

// FromConfig translates an instance of the configuration.
func FromConfig(c config.Instance, plan config.Announce) Instance {
	owner := c.Priority == 255
	i := Instance{
		Name: c.Name, Routes: c.Routes, Announce: plan,
		Accept: c.Accept || owner, AddressOwner: owner, Adopt: owner,
	}
	for _, v := range c.VIPs {
		iface := v.Interface
		if iface == "" {
			iface = c.Interface
		}
		i.VIPs = append(i.VIPs, VIP{Prefix: v.Prefix, Interface: iface, Label: v.Label})
	}
	if c.VirtualMAC && len(c.VIPs) > 0 {
		ipv6 := c.VIPs[0].Prefix.Addr().Is6()
		mac := vrrp.VirtualMAC(c.VRID, ipv6)
		i.VirtualMAC = &VirtualMAC{Name: link.MacvlanName(ipv6, c.VRID), Parent: c.Interface, MAC: mac[:]}
	}
	return i
}

// Interfaces names the interfaces whose changes an Owner of these instances
// needs to be told of, in order and without repetition.
func Interfaces(instances []Instance) []string {
	names := []string{loopback}
	for _, i := range instances {
		for _, p := range i.places() {
			names = append(names, p.iface)
		}
		if i.VirtualMAC != nil {
			names = append(names, i.VirtualMAC.Parent)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// place is the VIPs of an instance on one interface.
type place struct {
	iface string
	addrs []link.Address
	// prefixes finds a VIP by its address.
	prefixes map[netip.Addr]netip.Prefix
}

// places sorts the VIPs by interface, in the order of their appearance. VIPs on
// lo itself have no place: Prepare's copy is all there is to them.
func (i Instance) places() []place {
	var places []place
	for _, v := range i.VIPs {
		iface, label := v.Interface, v.Label
		if i.VirtualMAC != nil && iface == i.VirtualMAC.Parent {
			// A label must begin with the name of its interface.
			iface, label = i.VirtualMAC.Name, ""
		}
		if iface == loopback {
			continue
		}
		at := slices.IndexFunc(places, func(p place) bool { return p.iface == iface })
		if at < 0 {
			at = len(places)
			places = append(places, place{iface: iface, prefixes: map[netip.Addr]netip.Prefix{}})
		}
		places[at].addrs = append(places[at].addrs, link.Address{Prefix: v.Prefix, Label: label})
		places[at].prefixes[v.Prefix.Addr()] = v.Prefix
	}
	return places
}

// onLoopback is the VIPs as lo carries them: single addresses, because a prefix
// there would make the whole network local.
func (i Instance) onLoopback() []link.Address {
	out := make([]link.Address, len(i.VIPs))
	for n, v := range i.VIPs {
		a := v.Prefix.Addr()
		out[n] = link.Address{Prefix: netip.PrefixFrom(a, a.BitLen())}
	}
	return out
}

// settings are the sysctls of the instance's interfaces, and for IPv4 of all: a Backup with
// another interface on the same network, whatever that is for, would answer from there for
// the VIP that it has on lo. The kernel takes the greater of conf.all and the interface's.
func (i Instance) settings() []link.Setting {
	var out []link.Setting
	if len(i.VIPs) > 0 && i.VIPs[0].Prefix.Addr().Is4() {
		out = append(out, link.AnswerOwnOnly("all")...)
	}
	for _, p := range i.places() {
		if i.VirtualMAC != nil && p.iface == i.VirtualMAC.Name {
			out = append(out, link.ForMacvlan(p.iface)...)
			continue
		}
		out = append(out, link.AnswerOwnOnly(p.iface)...)
	}
	if i.VirtualMAC != nil {
		out = append(out, link.AnswerOwnOnly(i.VirtualMAC.Parent)...)
	}
	return out
}
