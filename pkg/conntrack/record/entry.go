// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// Tuple is one direction of a connection as nf_conntrack knows it. Of ICMP, SrcPort
// is the identifier and DstPort is type << 8 | code.
type Tuple struct {
	Src, Dst         Address
	SrcPort, DstPort uint16
	Proto            uint8 // IP protocol number
}

// EntryKey names an entry of the kernel's connection tracking table: its original
// direction, in its zone.
type EntryKey struct {
	Tuple Tuple
	Zone  uint16
}

// TCP is what nf_conntrack knows of a TCP connection. The values are the kernel's
// (enum tcp_conntrack, IP_CT_TCP_FLAG_* of linux/netfilter/nf_conntrack_tcp.h).
type TCP struct {
	State                     uint8
	ScaleOriginal, ScaleReply uint8 // window scale, 0-14
	FlagsOriginal, FlagsReply uint8
}

// Entry is an entry of the kernel's connection tracking table. NAT is in the
// difference between Key.Tuple and Reply, and in Status.
type Entry struct {
	Key   EntryKey
	Reply Tuple
	// Status has the bits of enum ip_conntrack_status that matter elsewhere: SEEN_REPLY,
	// ASSURED, CONFIRMED, SRC_NAT, DST_NAT and their _DONE, FIXED_TIMEOUT, HELPER.
	Status uint32
	// Timeout is what is left of the entry's life, to the second.
	Timeout time.Duration
	Mark    uint32
	// Labels are connlabels, 128 bits; all zeros if there are none.
	Labels [16]byte
	TCP    TCP // of TCP alone
	// Master is the entry that this one was expected by; the zero key if none.
	Master EntryKey
}
