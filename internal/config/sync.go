// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"
)

// Sync configures the replication of flow state between the hosts.
type Sync struct {
	// KeyFile holds the pre-shared keys, see [ReadKeys]. Empty means no replication.
	KeyFile string
	// Conntrack replicates the kernel's connection tracking table beside the flows.
	Conntrack bool
	// Listen is this host's address on the sync link; the zero Addr leaves the choice
	// to the kernel.
	Listen netip.Addr
	// Peers are the other hosts' addresses on the sync link. Default: those of
	// Config.Peers that are of Listen's family.
	Peers []netip.Addr
	// Filter says which entries of the connection tracking table are replicated.
	Filter Filter
}

// On reports whether flow state is replicated at all.
func (s *Sync) On() bool { return s.KeyFile != "" }

// reachable are the addresses of the family of Listen.
func (s *Sync) reachable(peers []netip.Addr) []netip.Addr {
	if !s.Listen.IsValid() {
		return peers
	}
	var family []netip.Addr
	for _, peer := range peers {
		if peer.Is4() == s.Listen.Is4() {
			family = append(family, peer)
		}
	}
	return family
}

// Filter selects the entries of the connection tracking table that are replicated.
type Filter struct {
	// Protocols are some of tcp, udp, icmp and icmpv6. Default: tcp and udp.
	Protocols []string
	// Ignore are addresses whose connections are not replicated: one of the four
	// addresses of an entry (both ends, as either end sees them) is enough.
	Ignore []netip.Prefix
	// TCPStates are those in which a TCP connection has a replica. Default: from
	// established to last_ack.
	TCPStates []string
}

// Unassured reports whether entries are wanted that the kernel does not call assured.
// Those of ICMP never are, and those of UDP are after two seconds of traffic both ways.
func (f *Filter) Unassured() bool {
	return slices.Contains(f.Protocols, "icmp") || slices.Contains(f.Protocols, "icmpv6")
}

// The values of Filter.Protocols and Filter.TCPStates, as conntrack(8) names them, in
// lower case.
var (
	protocols = []string{"tcp", "udp", "icmp", "icmpv6"}
	tcpStates = []string{"syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close"}

	defaultProtocols = []string{"tcp", "udp"}
	defaultTCPStates = []string{"established", "fin_wait", "close_wait", "last_ack"}
)

// Ignored are the addresses whose connections are not replicated: Filter.Ignore,
// loopback, and what the file tells of addresses that stay with their host: peers,
// sources and the sync link. What else is on this host's interfaces belongs to it too,
// except the VIPs: a connection that is translated to a VIP goes on when the VIP moves.
// They are sorted and without duplicates.
func (c *Config) Ignored() []netip.Prefix {
	ignored := slices.Clone(c.Sync.Filter.Ignore)
	ignored = append(ignored, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	own := slices.Concat(c.Peers, c.Sync.Peers, []netip.Addr{c.Sync.Listen})
	for _, inst := range c.Instances {
		own = append(own, inst.Source)
		own = append(own, inst.Peers...)
	}
	for _, addr := range own {
		if addr.IsValid() {
			ignored = append(ignored, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	slices.SortFunc(ignored, netip.Prefix.Compare)
	return slices.Compact(ignored)
}
