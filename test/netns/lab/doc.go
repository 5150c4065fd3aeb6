// SPDX-License-Identifier: Apache-2.0

// Package lab builds a small network out of namespaces: two hosts with a real
// haproxy each, a web server behind them and a client in front, all on one
// switch. Tests, the benchmark and the demo run daemons in it and break things.
//
//	 client .200          haa .166            hab .167            web .154
//	+----------+       +-----------+       +-----------+       +-----------+
//	|          |       |  haproxy  |       |  haproxy  |       |   nginx   |
//	|          |       |  daemon   |       |  daemon   |       |   echo    |
//	|   eth0   |       |   eth0    |       |   eth0    |       |   eth0    |
//	+----+-----+       +-----+-----+       +-----+-----+       +-----+-----+
//	     | client            | haa               | hab               | web
//	+----+-------------------+-------------------+-------------------+-----+
//	|                   switch: bridge br0, no STP                         |
//	+----------------------------------------------------------------------+
//	        10.224.147.0/24   fd00:147::/64   VIP .208 and ::208
//
// Each host is a network namespace and nothing more. Processes of all hosts share
// the machine's pids and files, so every host has a directory of its own for
// pidfiles, sockets, state and logs, and a process is only ever signalled by
// the pid the lab started it under.
//
// Every port of the switch runs an XDP program that passes all frames: a frame that a
// host's own XDP program sends back can only be received by XDP (see port.go). The
// BPF file system is mounted if it was not, shared by all labs, and unmounted by the
// last of them; each host has a directory of its own in it ([Host.BPFDir]).
//
// Behind the port for held connections is an echo server that knows through which
// host's haproxy each client came ([Lab.ServedBy]), and a haproxy's share of the
// processors can be limited ([Host.LimitHAProxy]).
//
// A group has more hosts with haproxy ([Options.Hosts]): hac .168, had .169 and so on.
//
// [NewRouters] builds another small network in the same way: two routers between a client
// and a server.
//
// Names hold the pid of the process that built the lab. [Lab.Close] removes all
// that [New] made; what a killed process left behind is removed by the next
// New, or by [Reap].
//
// Sysctls are set inside the lab's namespaces only. Processes enter them with
// nsenter and not with `ip netns exec`, which would hide the bpf file system
// behind a fresh /sys.
package lab
