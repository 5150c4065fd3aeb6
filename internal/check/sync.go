// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"slices"

	"hafast/internal/config"
)

// syncPort is the UDP port of hellos and state sync.
const syncPort = 9406

// sync checks what the hosts tell each other by, and what they tell.
func (c *checker) sync() {
	c.syncSocket()
	if !c.cfg.Sync.On() {
		return
	}
	c.syncKey()
	c.syncLink()
	if !c.steers() && !c.cfg.Sync.Conntrack {
		c.problem("sync", "sync has nothing to replicate: xdp is off, and conntrack is not set",
			"set sync.conntrack: true, or leave xdp: off out, or the sync section")
	}
	if c.cfg.Sync.Conntrack {
		c.conntrack()
	} else if _, set := c.cfg.Places["sync.filter"]; set {
		c.warning("sync.filter", "sync.filter has no effect: it is about the connection tracking table, which is not replicated",
			"set sync.conntrack: true, or take it out")
	}
}

// syncSocket checks the port. A running daemon has it open.
func (c *checker) syncSocket() {
	if c.running || !c.cfg.Sync.On() && (!c.steers() || len(c.cfg.Peers) == 0) {
		return
	}
	if err := c.env.CanReceive(syncPort); err != nil {
		path := "peers"
		if c.cfg.Sync.On() {
			path = "sync"
		}
		c.problem(path, fmt.Sprintf("UDP port %d, by which the hosts talk, cannot be opened: %v", syncPort, err),
			fmt.Sprintf("find who has it with 'ss -ulnp sport = :%d', and stop it", syncPort))
	}
}

// syncKey passes on what is wrong with the key file, at its own lines.
func (c *checker) syncKey() {
	err := c.env.Key(c.cfg.Sync.KeyFile)
	var errs config.Errors
	if !errors.As(err, &errs) {
		if err != nil {
			c.problem("sync.key_file", fmt.Sprintf("key file cannot be used: %v", err), "make one with hafast keygen")
		}
		return
	}
	for _, e := range errs {
		text := e.Text
		if e.Line > 0 {
			text = fmt.Sprintf("line %d %s", e.Line, text)
		}
		c.problem("sync.key_file", fmt.Sprintf("%s: %s", e.File, text), e.Mend)
	}
}

// syncLink checks the addresses of the sync link.
func (c *checker) syncLink() {
	own := c.own()
	s := &c.cfg.Sync
	if s.Listen.IsValid() && len(own) > 0 {
		if _, ok := own[s.Listen]; !ok {
			c.problem("sync.listen", fmt.Sprintf("listen %s is on no interface of this host", s.Listen),
				"write this host's own address on the sync link, or leave listen out")
		}
	}
	if len(s.Peers) == 0 {
		c.problem("sync.peers", "sync has no peers: there is nobody to replicate to",
			"write the other hosts' addresses, under peers or, if the sync link is another network, sync.peers")
	}
	for i, peer := range s.Peers {
		if device, ok := own[peer]; ok && !slices.Contains(c.cfg.Peers, peer) {
			c.problem(fmt.Sprintf("sync.peers[%d]", i), fmt.Sprintf("peer %s is this host's own address, on %s", peer, device),
				"peers are the other hosts: leave this host's address out")
		}
	}
}

// conntrack checks what the replication of the connection tracking table stands on.
func (c *checker) conntrack() {
	there, err := c.env.Conntrack()
	switch {
	case err != nil:
		c.warning("sync.conntrack", fmt.Sprintf("whether the kernel has connection tracking by netlink is not known: %v", err),
			"run hafast check as root on the host itself")
	case !there:
		c.problem("sync.conntrack", "the kernel has no connection tracking by netlink",
			"modprobe nf_conntrack_netlink, at each boot; or set sync.conntrack: false")
		return
	}
	c.conntrackSysctls()
	c.conntrackRoom()
	c.beside("sync.conntrack", "conntrackd", "the two replicate the same table, and each empties it by its own rules")
	c.ignoredVIPs()
}

// idleFloor is the least time, in seconds, that an entry may live without a packet: an
// audit tells it anew once in a minute, and one may be lost.
const idleFloor = 120

// conntrackSysctls checks values that hafast does not set: they are about all
// connections of the host. Kernels that lack one have no choice there.
func (c *checker) conntrackSysctls() {
	for _, rule := range []struct {
		name    string
		bad     func(v int) bool
		text    string
		value   int
		also    string
		problem bool
	}{
		{
			name: "nf_conntrack_events", bad: func(v int) bool { return v == 0 }, problem: true,
			text: "the kernel does not tell of new connections, and nothing is replicated until an audit finds them", value: 1,
			also: ", before there are connections: those that are there tell nothing",
		},
		{
			name: "nf_conntrack_tcp_be_liberal", bad: func(v int) bool { return v == 0 },
			text: "windows are not replicated, and a connection that has gone by another host may be found out of its own when it comes back", value: 1,
		},
		{
			name: "nf_conntrack_tcp_loose", bad: func(v int) bool { return v != 0 },
			text: "a packet whose entry is not here makes one by itself, without its NAT or the wrong way round, which then stands in the way of the right one", value: 0,
			also: ", with rules that drop packets in state invalid",
		},
		{
			name: "nf_conntrack_tcp_timeout_established", bad: func(v int) bool { return v < idleFloor },
			text: "replicas of idle connections may end before they are told anew, once in a minute", value: idleFloor, also: " or more, the same on all hosts",
		},
		{
			name: "nf_conntrack_udp_timeout_stream", bad: func(v int) bool { return v < idleFloor },
			text: "replicas of UDP flows may end before they are told anew, once in a minute", value: idleFloor, also: " or more, the same on all hosts",
		},
	} {
		v, ok := c.sysctl("net/netfilter/" + rule.name)
		if ok && rule.bad(v) {
			c.add("sync.conntrack", Problem{
				Text:    fmt.Sprintf("net.netfilter.%s is %d: %s", rule.name, v, rule.text),
				Mend:    fmt.Sprintf("sysctl -w net.netfilter.%s=%d%s", rule.name, rule.value, rule.also),
				Warning: !rule.problem,
			})
		}
	}
}

// conntrackRoom warns of a table that is nearly full. With a limit of 0 there is none.
func (c *checker) conntrackRoom() {
	limit, ok := c.sysctl("net/netfilter/nf_conntrack_max")
	count, known := c.sysctl("net/netfilter/nf_conntrack_count")
	if !ok || !known || limit == 0 || 5*int64(count) < 4*int64(limit) {
		return
	}
	c.warning("sync.conntrack", fmt.Sprintf("the connection tracking table has %d of %d entries: there may be no room for those of the other hosts", count, limit),
		fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d, on all hosts", 2*limit))
}

// ignoredVIPs finds filters that keep apart what moves with a VIP, as conntrackd's
// lists of addresses would.
func (c *checker) ignoredVIPs() {
	for i, ignored := range c.cfg.Sync.Filter.Ignore {
		for j := range c.cfg.Instances {
			at := slices.IndexFunc(c.cfg.Instances[j].VIPs, func(v config.VIP) bool { return ignored.Contains(v.Prefix.Addr()) })
			if at >= 0 {
				c.warning(fmt.Sprintf("sync.filter.ignore[%d]", i),
					fmt.Sprintf("%s has the VIP %s in it: connections that are translated to the VIP are not replicated", ignored, c.cfg.Instances[j].VIPs[at].Prefix.Addr()),
					"leave it out, unless nothing is translated to that VIP")
				break
			}
		}
	}
}
