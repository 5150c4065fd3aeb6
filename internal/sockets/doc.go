// SPDX-License-Identifier: Apache-2.0

// Package sockets asks the kernel's socket diagnostics (sock_diag(7)) what
// haproxy listens on, so that nobody types its ports twice, and how many
// connections are left on this host while it drains.
//
//	      kernel                                 /proc
//	sock_diag | dumps by family,          stat,    |  fd: socket:[inode]
//	          | protocol and state        children |
//	          v                                    v
//	       decode ──> candidates ──> owners: which of them are haproxy's?
//	                  (on a VIP, or                │
//	                   a wildcard)                 v
//	                                       services: VIP x port x protocol
//	                                               │
//	  Reader.Listening <───────────────────────────┤
//	  Watcher.Run: once a second, or Kick ──> steady ──> report, if it has changed
//
// # What counts
//
// A socket counts when one of haproxy's processes, or of their descendants, has it
// open (haproxy's master may have forked the one that listens), and when it is
// bound to
//
//   - a VIP: it serves that VIP;
//   - 0.0.0.0: it serves every IPv4 VIP;
//   - [::]: it serves every IPv6 VIP, and every IPv4 VIP too unless it is
//     IPV6_V6ONLY (ipv6(7)).
//
// Other addresses, such as loopback and the host's own, are nobody's VIP.
// A device that a socket is bound to (SO_BINDTODEVICE) makes no difference.
//
// TCP sockets count in state LISTEN. UDP has no such state: QUIC listeners are
// among the unconnected sockets, and so are those that haproxy only sends from (to
// syslog). These are bound to a wildcard and to some free port, so a UDP socket on
// a wildcard counts only for the VIPs of which haproxy serves the same port by
// TCP, as everyone does who offers QUIC: browsers learn of it over TCP (RFC 9114
// section 3.1.1). One that is bound to a VIP counts by itself.
package sockets
