// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// SharedHash is a hash of what must be alike on all hosts, by which each finds out
// whether the other means the same: of each instance its name, vrid and VIPs, of each
// service VIP, port and protocol (or that they are found out), balance, and which
// tables are replicated. The order in which the file has them does not count.
//
// Not in it is what may differ: node, peers, interfaces, prefix lengths, priorities,
// intervals, health checks, sizes, paths, and the filter of the connection tracking
// table, which each host puts on what it tells.
//
// The hash travels between versions of hafast: it is the first 8 bytes, big-endian, of
// the SHA-256 of the lines that sharedLines returns, each with a newline. A change to
// them makes hosts of two versions call their configurations different.
func (c *Config) SharedHash() uint64 {
	sum := sha256.Sum256([]byte(strings.Join(c.sharedLines(), "\n") + "\n"))
	return binary.BigEndian.Uint64(sum[:])
}

// sharedLines has a line for each thing, sorted. Names have no spaces in them.
func (c *Config) sharedLines() []string {
	lines := []string{"balance " + c.Balance}
	for _, inst := range c.Instances {
		lines = append(lines, fmt.Sprintf("instance %s %d%s", inst.Name, inst.VRID, sortedVIPs(inst.VIPs)))
	}
	for _, s := range c.Services {
		lines = append(lines, fmt.Sprintf("service %s %d %s", s.VIP, s.Port, s.Proto))
	}
	if len(c.Services) == 0 {
		lines = append(lines, "services auto")
	}
	if c.Sync.On() && c.XDP != "off" {
		lines = append(lines, "sync flows")
	}
	if c.Sync.On() && c.Sync.Conntrack {
		lines = append(lines, "sync conntrack")
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// sortedVIPs lists the addresses, each after a space.
func sortedVIPs(vips []VIP) string {
	addrs := make([]netip.Addr, len(vips))
	for i, vip := range vips {
		addrs[i] = vip.Prefix.Addr()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	var b strings.Builder
	for _, addr := range addrs {
		b.WriteString(" " + addr.String())
	}
	return b.String()
}
