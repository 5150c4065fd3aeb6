// SPDX-License-Identifier: Apache-2.0

package replication

// Numbers of linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h and
// nf_conntrack_tcp.h. The measurement speaks to the kernel's table by itself, and
// not with what it measures.
const (
	msgNew    = 0
	msgGet    = 1
	msgDelete = 2

	attrTupleOrig  = 1
	attrTupleReply = 2
	attrStatus     = 3
	attrProtoInfo  = 4
	attrNATSource  = 6
	attrTimeout    = 7

	attrTupleIP    = 1
	attrTupleProto = 2

	attrIPv4Source      = 1
	attrIPv4Destination = 2

	attrProtoNumber          = 1
	attrProtoSourcePort      = 2
	attrProtoDestinationPort = 3

	attrNATMinIPv4 = 1
	attrNATMaxIPv4 = 2
	attrNATProto   = 3
	attrNATPortMin = 1
	attrNATPortMax = 2

	attrProtoInfoTCP     = 1
	attrTCPState         = 1
	attrTCPFlagsOriginal = 4
	attrTCPFlagsReply    = 5

	// headerLen is the length of struct nfgenmsg.
	headerLen = 4

	tcpEstablished = 3
	// tcpBeLiberal has windows go unchecked: those of a made-up connection are
	// nobody's.
	tcpBeLiberal = 0x08

	// What an established connection's status has.
	statusSeenReply = 1 << 1
	statusAssured   = 1 << 2
	statusConfirmed = 1 << 3
)
