// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// pairSize is how many hosts with haproxy a lab has unless it is asked for more.
const pairSize = 2

// maxGroup is how many there may be: their addresses end before the client's.
const maxGroup = 16

// groupHosts are n hosts with haproxy: haa .166, hab .167, hac .168 and so on.
func groupHosts(n int) []HostSpec {
	var out []HostSpec
	for i := range n {
		out = append(out, seedHost(groupName(i), 166+i))
	}
	return out
}

// groupName is the name of the host with haproxy at that place, from 0.
func groupName(i int) string { return "ha" + string(rune('a'+i)) }

// seedHost is a host on the how-to's network.
func seedHost(name string, last int) HostSpec {
	return HostSpec{
		Name: name,
		V4:   netip.MustParsePrefix(fmt.Sprintf("10.224.147.%d/24", last)),
		V6:   netip.MustParsePrefix(fmt.Sprintf("fd00:147::%d/64", last)),
	}
}

// Group returns all hosts with haproxy, in the order of their priorities: the pair, and
// those that [Options.Hosts] has added.
func (l *Lab) Group() []*Host {
	var out []*Host
	for i := range cmp.Or(l.opts.Hosts, pairSize) {
		out = append(out, l.Host(groupName(i)))
	}
	return out
}

// Members returns the hosts of the lab that the system is put on, in the order of their
// priorities.
func Members(sys System, l *Lab) []*Host { return l.Group()[:sys.Size()] }

// Priority is the how-to's: 101 on the first host of the group, 100 on the second, and so on.
func Priority(h *Host) int { return 101 - slices.Index(h.lab.Group(), h) }

// Others are the members of a group but for the host.
func Others(members []*Host, h *Host) []*Host {
	return slices.DeleteFunc(slices.Clone(members), func(m *Host) bool { return m == h })
}
