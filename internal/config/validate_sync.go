// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
)

// validateSync checks what binds the keys of sync to each other and to the rest. Peers
// that are not named there have been checked where they stand.
func (d *decoder) validateSync(c *Config) {
	s := &c.Sync
	vips := map[netip.Addr]bool{}
	for _, inst := range c.Instances {
		for _, vip := range inst.VIPs {
			vips[vip.Prefix.Addr()] = true
		}
	}
	if s.Listen.IsValid() && vips[s.Listen] {
		d.at("sync.listen", fmt.Sprintf("listen %s is a VIP", s.Listen), "write this host's own address on the sync link")
	}
	if d.places.isSet("sync.peers") {
		d.uniqueAddrs("sync.peers", s.Peers)
		if n := len(s.Peers); n > MaxPeers {
			d.at("sync.peers", fmt.Sprintf("%d peers are too many", n), fmt.Sprintf("name at most %d", MaxPeers))
		}
		for i, peer := range s.Peers {
			d.validateSyncPeer(s, peer, vips[peer], fmt.Sprintf("sync.peers[%d]", i))
		}
	}
	d.validateSelection("sync.filter.protocols", "protocol", s.Filter.Protocols)
	d.validateSelection("sync.filter.tcp_states", "state", s.Filter.TCPStates)
}

func (d *decoder) validateSyncPeer(s *Sync, peer netip.Addr, isVIP bool, path string) {
	switch {
	case !peer.IsValid():
	case isVIP:
		d.at(path, fmt.Sprintf("peer %s is a VIP", peer), "write the other host's own address on the sync link")
	case !s.Listen.IsValid():
	case peer == s.Listen:
		d.at(path, fmt.Sprintf("peer %s is this host's own listen", peer), "peers are the other hosts: leave this one out")
	case peer.Is4() != s.Listen.Is4():
		d.at(path, fmt.Sprintf("peer %s is %s, listen is %s", peer, family(peer.Is6()), family(s.Listen.Is6())),
			fmt.Sprintf("write the peer's %s address", family(s.Listen.Is6())))
	}
}

// validateSelection checks a list of words. A word that could not be read is empty.
func (d *decoder) validateSelection(path, what string, words []string) {
	if len(words) == 0 && d.places.isSet(path) && words != nil {
		d.at(path, last(path)+" is empty", fmt.Sprintf("name at least one %s, or set sync.conntrack: false", what))
	}
	seen := map[string]bool{}
	for i, word := range words {
		if word != "" && seen[word] {
			d.at(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%s %s is there twice", what, word), "keep one of them")
		}
		seen[word] = true
	}
}
