// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/config"
)

// routing is pair's configuration with the connection tracking table replicated.
const routing = pair + `sync:
  key_file: /k
  conntrack: true
`

// tuned are the sysctls as hafast would have them.
var tuned = map[string]string{
	"net/netfilter/nf_conntrack_events":                  "2",
	"net/netfilter/nf_conntrack_tcp_be_liberal":          "1",
	"net/netfilter/nf_conntrack_tcp_loose":               "0",
	"net/netfilter/nf_conntrack_tcp_timeout_established": "432000",
	"net/netfilter/nf_conntrack_udp_timeout_stream":      "120",
	"net/netfilter/nf_conntrack_max":                     "262144",
	"net/netfilter/nf_conntrack_count":                   "209715",
}

// tunedBut is a host with tuned sysctls and others beside or instead.
func tunedBut(pairs ...string) func(*fakeHost) {
	return func(h *fakeHost) {
		h.sysctls = maps.Clone(tuned)
		for i := 0; i < len(pairs); i += 2 {
			h.sysctls["net/netfilter/"+pairs[i]] = pairs[i+1]
		}
	}
}

func TestSync(t *testing.T) {
	const (
		withKey = pair + "sync:\n  key_file: /k\n"
		free    = "find who has it with 'ss -ulnp sport = :9406', and stop it"
	)
	busy := func(h *fakeHost) { h.portErr = unix.EADDRINUSE }
	tests := []runTest{
		{name: "a key alone", text: withKey},
		{
			name: "a bad key", text: withKey,
			host: func(h *fakeHost) {
				h.keyErr = config.Errors{{File: "/k", Line: 2, Text: "is no key", Mend: "write another"}}
			},
			want: []string{"f:8: /k: line 2 is no key; write another"},
		},
		{
			name: "an unreadable key", text: withKey,
			host: func(h *fakeHost) { h.keyErr = unix.EIO },
			want: []string{"f:8: key file cannot be used: input/output error; make one with hafast keygen"},
		},
		{
			name: "port in use", host: busy,
			want: []string{"f:2: UDP port 9406, by which the hosts talk, cannot be opened: address already in use; " + free},
		},
		{
			name: "port in use, with sync", text: withKey, host: busy,
			want: []string{"f:7: UDP port 9406, by which the hosts talk, cannot be opened: address already in use; " + free},
		},
		{name: "port in use, and not needed", text: pair + "xdp: off\n", host: busy},
		{name: "port in use, and nobody to talk to", text: strings.Replace(pair, "peers: [10.0.0.2]\n", "", 1), host: busy},
		{name: "another link", text: withKey + "  listen: 10.1.0.1\n  peers: [10.1.0.2]\n"},
		{
			name: "listen elsewhere", text: withKey + "  listen: 10.1.0.7\n",
			want: []string{"f:9: listen 10.1.0.7 is on no interface of this host; write this host's own address on the sync link, or leave listen out"},
		},
		{
			name: "no peers", text: withKey + "  peers: []\n",
			want: []string{"f:9: sync has no peers: there is nobody to replicate to; write the other hosts' addresses, under peers or, if the sync link is another network, sync.peers"},
		},
		{
			name: "no peers at all", text: strings.Replace(withKey, "peers: [10.0.0.2]\n", "", 1),
			want: []string{"f:6: sync has no peers: there is nobody to replicate to; write the other hosts' addresses, under peers or, if the sync link is another network, sync.peers"},
		},
		{
			name: "peer is this host", text: withKey + "  peers:\n    - 10.1.0.2\n    - 10.1.0.1\n",
			want: []string{"f:11: peer 10.1.0.1 is this host's own address, on eth1; peers are the other hosts: leave this host's address out"},
		},
		{
			name: "nothing to replicate", text: withKey + "xdp: off\n",
			want: []string{"f:7: sync has nothing to replicate: xdp is off, and conntrack is not set; set sync.conntrack: true, or leave xdp: off out, or the sync section"},
		},
		{
			name: "a filter of nothing", text: withKey + "  filter: {protocols: [tcp]}\n",
			want: []string{"warning f:9: sync.filter has no effect: it is about the connection tracking table, which is not replicated; set sync.conntrack: true, or take it out"},
		},
		{
			name: "conntrackd beside hafast, which leaves the table to it", text: withKey,
			host: func(h *fakeHost) { h.processes[77] = "conntrackd" },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t) })
	}
}

func TestConntrack(t *testing.T) {
	tests := []runTest{
		{name: "nothing wrong", text: routing, host: tunedBut()},
		{name: "nothing wrong without a data path", text: routing + "xdp: off\n", host: tunedBut()},
		{name: "nothing of it without conntrack", text: pair + "sync: {key_file: /k}\n"},
		{name: "a kernel without these sysctls", text: routing, host: func(h *fakeHost) { h.noSysctl = "net/netfilter/" }},
		{
			name: "no netlink", text: routing,
			host: func(h *fakeHost) { h.noCT = true },
			want: []string{"f:9: the kernel has no connection tracking by netlink; modprobe nf_conntrack_netlink, at each boot; or set sync.conntrack: false"},
		},
		{
			name: "netlink unknown", text: routing,
			host: func(h *fakeHost) {
				tunedBut()(h)
				h.ctErr = unix.EPERM
			},
			want: []string{"warning f:9: whether the kernel has connection tracking by netlink is not known: operation not permitted; run hafast check as root on the host itself"},
		},
		{
			name: "no events", text: routing, host: tunedBut("nf_conntrack_events", "0"),
			want: []string{"f:9: net.netfilter.nf_conntrack_events is 0: the kernel does not tell of new connections, and nothing is replicated until an audit finds them; sysctl -w net.netfilter.nf_conntrack_events=1, before there are connections: those that are there tell nothing"},
		},
		{name: "events always", text: routing, host: tunedBut("nf_conntrack_events", "1")},
		{
			name: "as kernels come", text: routing, host: tunedBut("nf_conntrack_tcp_be_liberal", "0", "nf_conntrack_tcp_loose", "1"),
			want: []string{
				"warning f:9: net.netfilter.nf_conntrack_tcp_be_liberal is 0: windows are not replicated, and a connection that has gone by another host may be found out of its own when it comes back; sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1",
				"warning f:9: net.netfilter.nf_conntrack_tcp_loose is 1: a packet whose entry is not here makes one by itself, without its NAT or the wrong way round, which then stands in the way of the right one; sysctl -w net.netfilter.nf_conntrack_tcp_loose=0, with rules that drop packets in state invalid",
			},
		},
		{
			name: "short timeouts", text: routing, host: tunedBut("nf_conntrack_tcp_timeout_established", "119", "nf_conntrack_udp_timeout_stream", "60"),
			want: []string{
				"warning f:9: net.netfilter.nf_conntrack_tcp_timeout_established is 119: replicas of idle connections may end before they are told anew, once in a minute; sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=120 or more, the same on all hosts",
				"warning f:9: net.netfilter.nf_conntrack_udp_timeout_stream is 60: replicas of UDP flows may end before they are told anew, once in a minute; sysctl -w net.netfilter.nf_conntrack_udp_timeout_stream=120 or more, the same on all hosts",
			},
		},
		{
			name: "a table that is nearly full", text: routing, host: tunedBut("nf_conntrack_count", "209716"),
			want: []string{"warning f:9: the connection tracking table has 209716 of 262144 entries: there may be no room for those of the other hosts; sysctl -w net.netfilter.nf_conntrack_max=524288, on all hosts"},
		},
		{name: "a table without a limit", text: routing, host: tunedBut("nf_conntrack_max", "0")},
		{
			name: "conntrackd runs", text: routing,
			host: func(h *fakeHost) {
				tunedBut()(h)
				h.processes[77], h.processes[78] = "conntrackd", "conntrackd"
			},
			want: []string{"warning f:9: conntrackd runs on this host, as process 77: the two replicate the same table, and each empties it by its own rules; stop it before hafast starts: systemctl disable --now conntrackd"},
		},
		{
			name: "VIPs ignored, as conntrackd would have them",
			text: routing + "  filter:\n    ignore:\n      - 10.7.0.0/16\n      - 10.0.0.9\n      - 10.0.0.0/24\n", host: tunedBut(),
			want: []string{
				"warning f:13: 10.0.0.9/32 has the VIP 10.0.0.9 in it: connections that are translated to the VIP are not replicated; leave it out, unless nothing is translated to that VIP",
				"warning f:14: 10.0.0.0/24 has the VIP 10.0.0.9 in it: connections that are translated to the VIP are not replicated; leave it out, unless nothing is translated to that VIP",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t) })
	}
}
