// SPDX-License-Identifier: Apache-2.0

// Package nfct is the kernel's connection tracking table (nf_conntrack), by netlink:
// what changes in it, what is in it, and how to put entries into it that another host
// has sent.
//
//	kernel ──> socket filter ──> Events ──> an entry to tell, or one that is gone
//	       ──> Walk ──> all entries, a datagram at a time
//	Table.Apply <── what the peer has told: Set, Check, Loosen, Delete
//
// Decode, Filter and the messages are pure; sockets are in socket.go. The protocol is
// that of linux/netfilter/nfnetlink_conntrack.h; what the kernel does with it was read
// in Linux 6.18's nf_conntrack_netlink.c and is tested on it.
//
// # What is told, and what is not
//
// A TCP connection through a router makes seven events: NEW (SYN_SENT), UPDATE for
// SYN_RECV, ESTABLISHED, FIN_WAIT, LAST_ACK and TIME_WAIT, and two minutes later
// DESTROY. Events reads two of them, and the kernel's socket filter drops the rest:
//
//   - ESTABLISHED says that there is something to lose. Before it, the client's SYN is
//     sent again and makes an entry on whichever host it meets, by that host's rules.
//   - TIME_WAIT and CLOSE say that nothing is left to lose: the entry is reported as
//     gone, so that replicas do not outlive it. That goes for DESTROY only where the
//     entry had not come so far.
//   - Between the two, the replica may stay ESTABLISHED: the closing packets pass it,
//     and move its own state on.
//
// Entries of UDP travel when they are assured, that is when both directions have been
// seen for two seconds: a query and its answer are over before.
//
// An event has all that is known of an entry, but for labels and masters, and for the
// state of a TCP connection if something else has changed, such as its mark. Events
// then asks for the entry. There is no shadow of the table: what is asked for is newer
// than what was told, and few have to be asked for.
//
// The kernel writes events for entries that were made while somebody listened, or at
// all times if nf_conntrack_events is 1. Of others only a Walk tells, of their end too.
//
// # What a replica is
//
// It has no window tracking, as netlink has no sequence numbers: see appendTCP. An own
// entry has, and must lose it before its packets go by another host and come back: see
// Loosen. Its time runs down without packets, and has to be told again before it has
// run out: two minutes for UDP, five days for an established TCP connection. The hosts
// must have the same timeouts (nf_conntrack_*_timeout_*), or time left says nothing
// about which of two entries is younger.
//
// # What is left out
//
//   - Sequence adjustment and helpers: record.Entry has no room for them. A control
//     connection of FTP or SIP with NAT does not survive a move; its data connections do.
//   - Expectations.
//   - A zone for one direction alone (CTA_TUPLE_ZONE): such entries are counted and
//     skipped, as a record.EntryKey has one zone for both.
//   - The states of SCTP and DCCP: their entries are known by their ports, but a replica
//     would begin without a state, so that the default filter leaves them out.
//   - Entries that are offloaded to a flowtable: the kernel tells neither their state nor
//     their time.
package nfct
