// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// Every request has a number that its answers carry.

// appendCreate asks for an entry that is not there yet: EEXIST if one has the original
// direction, or if the reply direction is another's.
//
// NLM_F_REPLACE means nothing to the kernel, which changes what is there unless
// NLM_F_EXCL forbids it; but it refuses (EOPNOTSUPP) to change an entry by a message
// with NAT or a master, and it never changes the reply direction.
func appendCreate(b *nlmsg.Builder, seq uint32, e *record.Entry, master bool) {
	b.Begin(typeNew, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL, seq, family(&e.Key.Tuple), 0, 0, 0)
	appendTuple(b, ctaTupleOrig, &e.Key.Tuple)
	if e.Status&statusNAT == 0 {
		appendTuple(b, ctaTupleReply, &e.Reply)
	} else {
		appendNAT(b, e)
	}
	appendZone(b, &e.Key)
	appendTimeout(b, e)
	b.Uint32BE(ctaStatus, statusConfirmed|e.Status&statusSettable)
	appendTCP(b, e)
	if e.Mark != 0 {
		b.Uint32BE(ctaMark, e.Mark)
	}
	if e.Labels != ([16]byte{}) {
		b.Attr(ctaLabels, e.Labels[:])
	}
	if master {
		appendTuple(b, ctaTupleMaster, &e.Master.Tuple)
	}
	b.End()
}

// appendNAT writes the reply direction as it was before NAT, and what NAT makes of it:
// the kernel translates what it is given, and sets the bits of Status only if that
// changes it. Source and destination are both given, to the port: what is left open
// the kernel chooses, and where the port is taken it takes another.
func appendNAT(b *nlmsg.Builder, e *record.Entry) {
	reply := plainReply(e)
	appendTuple(b, ctaTupleReply, &reply)
	if isICMP(e.Reply.Proto) {
		// There is one identifier, the same in both directions, until NAT of the source
		// changes it.
		appendRange(b, ctaNATSrc, e.Reply.Dst, e.Reply.SrcPort)
		appendRange(b, ctaNATDst, e.Reply.Src, e.Key.Tuple.SrcPort)
		return
	}
	appendRange(b, ctaNATSrc, e.Reply.Dst, e.Reply.DstPort)
	appendRange(b, ctaNATDst, e.Reply.Src, e.Reply.SrcPort)
}

// appendRange writes a CTA_NAT_SRC or CTA_NAT_DST of one address and port.
func appendRange(b *nlmsg.Builder, typ uint16, addr record.Address, port uint16) {
	nat := b.Nest(typ)
	if addr.Is4() {
		b.Attr(ctaNATv4Min, addr[12:])
		b.Attr(ctaNATv4Max, addr[12:])
	} else {
		b.Attr(ctaNATv6Min, addr[:])
		b.Attr(ctaNATv6Max, addr[:])
	}
	proto := b.Nest(ctaNATProto)
	b.Uint16BE(ctaProtoNATPortMin, port)
	b.Uint16BE(ctaProtoNATPortMax, port)
	b.EndNest(proto)
	b.EndNest(nat)
}

// appendUpdate changes the entry that is there, local, to what e says. The kernel
// takes bits of Status back from nobody, answers EBUSY if EXPECTED differs, and EPERM
// to a new timeout for an entry whose timeout is fixed. Labels are sent where they
// differ only: a host without a rule that uses them answers ENOSPC.
func appendUpdate(b *nlmsg.Builder, seq uint32, e, local *record.Entry) {
	b.Begin(typeNew, unix.NLM_F_REQUEST, seq, family(&e.Key.Tuple), 0, 0, 0)
	appendTuple(b, ctaTupleOrig, &e.Key.Tuple)
	appendZone(b, &e.Key)
	if local.Status&statusFixedTimeout == 0 {
		appendTimeout(b, e)
	}
	b.Uint32BE(ctaStatus, statusConfirmed|local.Status&statusExpected|(local.Status|e.Status)&statusSettable)
	appendTCP(b, e)
	b.Uint32BE(ctaMark, e.Mark)
	if e.Labels != local.Labels {
		b.Attr(ctaLabels, e.Labels[:])
	}
	b.End()
}

// appendLoosen ends the window tracking of an entry that is there.
func appendLoosen(b *nlmsg.Builder, seq uint32, key *record.EntryKey) {
	b.Begin(typeNew, unix.NLM_F_REQUEST, seq, family(&key.Tuple), 0, 0, 0)
	appendTuple(b, ctaTupleOrig, &key.Tuple)
	appendZone(b, key)
	info := b.Nest(ctaProtoInfo)
	tcp := b.Nest(ctaProtoInfoTCP)
	loose := [2]byte{tcpBeLiberal, tcpBeLiberal | tcpMaxAckSet}
	b.Attr(ctaTCPFlagsOrig, loose[:])
	b.Attr(ctaTCPFlagsReply, loose[:])
	b.EndNest(tcp)
	b.EndNest(info)
	b.End()
}

// appendKey asks for an entry (typeGet), or for its end (typeDelete); ENOENT without
// one.
func appendKey(b *nlmsg.Builder, typ uint16, seq uint32, key *record.EntryKey) {
	b.Begin(typ, unix.NLM_F_REQUEST, seq, family(&key.Tuple), 0, 0, 0)
	appendTuple(b, ctaTupleOrig, &key.Tuple)
	appendZone(b, key)
	b.End()
}

// appendDump asks for all entries, or for all that are assured.
func appendDump(b *nlmsg.Builder, seq uint32, assured bool) {
	b.Begin(typeGet, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, unix.AF_UNSPEC, 0, 0, 0)
	if assured {
		// A kernel that does not know the mask tells all, and the Filter has more to do.
		b.Uint32BE(ctaStatus, statusAssured)
		b.Uint32BE(ctaStatusMask, statusAssured)
	}
	b.End()
}

func appendZone(b *nlmsg.Builder, key *record.EntryKey) {
	if key.Zone != 0 {
		b.Uint16BE(ctaZone, key.Zone)
	}
}

// appendTimeout writes at least a second, with which the entry can at least be seen.
func appendTimeout(b *nlmsg.Builder, e *record.Entry) {
	seconds := max(1, min(math.MaxInt32, e.Timeout/time.Second))
	b.Uint32BE(ctaTimeout, uint32(seconds))
}

// appendTCP writes the CTA_PROTOINFO of a TCP entry.
//
// Netlink carries no sequence numbers, so that the replica's window is unknown. Its
// host takes it from the first packets it sees (whatever nf_conntrack_tcp_loose says:
// that is about packets without an entry). Until it has seen both directions it finds
// INVALID what acknowledges data that went by the other host, and the connection
// stands still until that is sent again. Hence BE_LIBERAL, for both directions.
// MAXACK_SET speaks of a number that is not there.
func appendTCP(b *nlmsg.Builder, e *record.Entry) {
	if e.Key.Tuple.Proto != unix.IPPROTO_TCP {
		return
	}
	info := b.Nest(ctaProtoInfo)
	tcp := b.Nest(ctaProtoInfoTCP)
	b.Uint8(ctaTCPState, e.TCP.State)
	// The kernel takes the scales if the flags say that there are any.
	b.Uint8(ctaTCPScaleOrig, min(e.TCP.ScaleOriginal, maxScale))
	b.Uint8(ctaTCPScaleReply, min(e.TCP.ScaleReply, maxScale))
	appendFlags(b, ctaTCPFlagsOrig, e.TCP.FlagsOriginal)
	appendFlags(b, ctaTCPFlagsReply, e.TCP.FlagsReply)
	b.EndNest(tcp)
	b.EndNest(info)
}

// appendFlags writes a struct nf_ct_tcp_flags: flags, and which of them to change.
func appendFlags(b *nlmsg.Builder, typ uint16, flags uint8) {
	const travel = tcpWindowScale | tcpSACKPerm | tcpCloseInit
	const mask = travel | tcpBeLiberal | tcpUnacknowledged | tcpMaxAckSet
	value := [2]byte{flags&travel | tcpBeLiberal, mask}
	b.Attr(typ, value[:])
}
