// SPDX-License-Identifier: Apache-2.0

package nfct

import "golang.org/x/sys/unix"

// From linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. Numbers are in network
// order there, unlike most of netlink.
const (
	typeNew      = unix.NFNL_SUBSYS_CTNETLINK << 8 // IPCTNL_MSG_CT_NEW: created, changed, or dumped
	typeGet      = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1
	typeDelete   = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2
	typeGetStats = unix.NFNL_SUBSYS_CTNETLINK<<8 | 5

	// sizeofGenMsg is the size of struct nfgenmsg: family, version, a resource number.
	sizeofGenMsg = 4
)

// enum ctattr_type.
const (
	ctaTupleOrig   = 1
	ctaTupleReply  = 2
	ctaStatus      = 3
	ctaProtoInfo   = 4
	ctaNATSrc      = 6
	ctaTimeout     = 7
	ctaMark        = 8
	ctaNATDst      = 13
	ctaTupleMaster = 14
	ctaZone        = 18
	ctaLabels      = 22
	ctaStatusMask  = 26
)

// enum ctattr_tuple, ctattr_ip, ctattr_l4proto.
const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum      = 1
	ctaProtoSrcPort  = 2
	ctaProtoDstPort  = 3
	ctaProtoICMPID   = 4
	ctaProtoICMPType = 5
	ctaProtoICMPCode = 6
	// Of ICMPv6: the same three, in the same order.
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9
)

// enum ctattr_protoinfo, ctattr_protoinfo_tcp.
const (
	ctaProtoInfoTCP = 1

	ctaTCPState      = 1
	ctaTCPScaleOrig  = 2
	ctaTCPScaleReply = 3
	ctaTCPFlagsOrig  = 4
	ctaTCPFlagsReply = 5
)

// enum ctattr_nat, ctattr_protonat, ctattr_stats_global.
const (
	ctaNATv4Min = 1
	ctaNATv4Max = 2
	ctaNATProto = 3
	ctaNATv6Min = 4
	ctaNATv6Max = 5

	ctaProtoNATPortMin = 1
	ctaProtoNATPortMax = 2

	ctaStatsEntries    = 1
	ctaStatsMaxEntries = 2
)

// enum ip_conntrack_status.
const (
	statusExpected     = 1 << 0
	statusSeenReply    = 1 << 1
	statusAssured      = 1 << 2
	statusConfirmed    = 1 << 3
	statusSrcNAT       = 1 << 4
	statusDstNAT       = 1 << 5
	statusFixedTimeout = 1 << 10

	statusNAT = statusSrcNAT | statusDstNAT
	// statusSettable are the bits that a netlink user may set, and that mean anything on
	// another host. HELPER would keep a host from finding a helper of its own.
	statusSettable = statusSeenReply | statusAssured | statusFixedTimeout
)

// IP_CT_TCP_FLAG_* of linux/netfilter/nf_conntrack_tcp.h.
const (
	tcpWindowScale = 0x01
	tcpSACKPerm    = 0x02
	tcpCloseInit   = 0x04
	tcpBeLiberal   = 0x08
	// tcpUnacknowledged and tcpMaxAckSet say that a number is known which netlink does
	// not carry.
	tcpUnacknowledged = 0x10
	tcpMaxAckSet      = 0x20
)

// maxScale is the largest window scale (RFC 7323 section 2.3). Newer kernels refuse
// an entry with a larger one.
const maxScale = 14
