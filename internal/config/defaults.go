// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"os"
)

// fillIn sets what follows from other keys. Defaults that do not are in the
// rows of schema.go.
func (d *decoder) fillIn(c *Config) {
	if c.Node == "" && !d.places.isSet("node") {
		c.Node, _ = os.Hostname()
	}
	if c.Balance == "" {
		c.Balance = "local"
		if len(c.Peers) > 0 {
			c.Balance = "shared"
		}
	}
	if !d.places.isSet("sync.peers") {
		c.Sync.Peers = c.Sync.reachable(c.Peers)
	}
	for i := range c.Scripts {
		s := &c.Scripts[i]
		s.Place = d.places.Of(fmt.Sprintf("scripts[%d]", i))
		if s.Timeout == 0 {
			s.Timeout = s.Interval
		}
	}
	for i := range c.SyncGroups {
		c.SyncGroups[i].Place = d.places.Of(fmt.Sprintf("sync_groups[%d]", i))
	}
	for i := range c.Instances {
		d.fillInInstance(c, i)
	}
}

func (d *decoder) fillInInstance(c *Config, i int) {
	inst := &c.Instances[i]
	inst.Place = d.places.Of(fmt.Sprintf("instances[%d]", i))
	if inst.Name == "" && inst.VRID != 0 && !d.places.isSet(inst.Place.Key+".name") {
		inst.Name = fmt.Sprintf("VI_%d", inst.VRID)
	}
	if inst.Interface == "" && !d.places.isSet(inst.Place.Key+".interface") {
		inst.Interface = c.Interface
	}
	for j := range inst.VIPs {
		if inst.VIPs[j].Interface == "" {
			inst.VIPs[j].Interface = inst.Interface
		}
	}
	v6, known := inst.family()
	if !d.places.isSet(inst.Place.Key + ".peers") {
		for _, peer := range c.Peers {
			if known && peer.IsValid() && peer.Is6() == v6 {
				inst.Peers = append(inst.Peers, peer)
			}
		}
	}
	for j := range inst.Routes {
		r := &inst.Routes[j]
		if r.Interface == "" {
			r.Interface = inst.Interface
		}
		switch {
		case r.To.IsValid():
		case r.Via.Is6() || (!r.Via.IsValid() && v6):
			r.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		default:
			r.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
	}
}

// family reports whether the instance is IPv6, by its first valid VIP.
func (i *Instance) family() (v6, known bool) {
	for _, vip := range i.VIPs {
		if vip.Prefix.IsValid() {
			return vip.Prefix.Addr().Is6(), true
		}
	}
	return false, false
}
