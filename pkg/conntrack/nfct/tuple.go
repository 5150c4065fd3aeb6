// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
	"hafast/pkg/conntrack/record"
)

// decodeTuple reads a CTA_TUPLE_*. directional tells that the zone is this
// direction's alone.
func decodeTuple(b []byte, t *record.Tuple) (directional, ok bool) {
	var addresses int
	for typ, value := range nlmsg.Attrs(b) {
		switch typ {
		case ctaTupleIP:
			addresses = decodeAddresses(value, t)
		case ctaTupleProto:
			ok = decodeProto(value, t)
		case ctaTupleZone:
			directional = true
		}
	}
	return directional, ok && addresses == 2
}

// decodeAddresses returns how many of the two there were.
func decodeAddresses(b []byte, t *record.Tuple) (n int) {
	for typ, value := range nlmsg.Attrs(b) {
		switch {
		case typ == ctaIPv4Src && len(value) == 4:
			t.Src = mapped([4]byte(value))
		case typ == ctaIPv4Dst && len(value) == 4:
			t.Dst = mapped([4]byte(value))
		case typ == ctaIPv6Src && len(value) == 16:
			t.Src = record.Address(value)
		case typ == ctaIPv6Dst && len(value) == 16:
			t.Dst = record.Address(value)
		default:
			continue
		}
		n++
	}
	return n
}

// mapped is an IPv4 address as record.Address has it.
func mapped(a [4]byte) (b record.Address) {
	b[10], b[11] = 0xff, 0xff
	copy(b[12:], a[:])
	return b
}

func decodeProto(b []byte, t *record.Tuple) (ok bool) {
	for typ, value := range nlmsg.Attrs(b) {
		switch typ {
		case ctaProtoNum:
			if len(value) == 1 {
				t.Proto, ok = value[0], true
			}
		case ctaProtoSrcPort, ctaProtoICMPID, ctaProtoICMPv6ID:
			if len(value) == 2 {
				t.SrcPort = binary.BigEndian.Uint16(value)
			}
		case ctaProtoDstPort:
			if len(value) == 2 {
				t.DstPort = binary.BigEndian.Uint16(value)
			}
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			if len(value) == 1 {
				t.DstPort = t.DstPort&0x00ff | uint16(value[0])<<8
			}
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			if len(value) == 1 {
				t.DstPort = t.DstPort&0xff00 | uint16(value[0])
			}
		}
	}
	return ok
}

// family is the address family of a tuple, as struct nfgenmsg has it.
func family(t *record.Tuple) uint8 {
	if t.Src.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// appendTuple writes a CTA_TUPLE_*.
func appendTuple(b *nlmsg.Builder, typ uint16, t *record.Tuple) {
	tuple := b.Nest(typ)
	ip := b.Nest(ctaTupleIP)
	if t.Src.Is4() {
		b.Attr(ctaIPv4Src, t.Src[12:])
		b.Attr(ctaIPv4Dst, t.Dst[12:])
	} else {
		b.Attr(ctaIPv6Src, t.Src[:])
		b.Attr(ctaIPv6Dst, t.Dst[:])
	}
	b.EndNest(ip)
	proto := b.Nest(ctaTupleProto)
	b.Uint8(ctaProtoNum, t.Proto)
	switch t.Proto {
	case unix.IPPROTO_ICMP:
		appendICMP(b, ctaProtoICMPID, t)
	case unix.IPPROTO_ICMPV6:
		appendICMP(b, ctaProtoICMPv6ID, t)
	default:
		// GRE has its keys here, and protocols without ports pass over the attributes.
		b.Uint16BE(ctaProtoSrcPort, t.SrcPort)
		b.Uint16BE(ctaProtoDstPort, t.DstPort)
	}
	b.EndNest(proto)
	b.EndNest(tuple)
}

// appendICMP writes identifier, type and code, whose attributes follow each other.
func appendICMP(b *nlmsg.Builder, id uint16, t *record.Tuple) {
	b.Uint16BE(id, t.SrcPort)
	b.Uint8(id+1, uint8(t.DstPort>>8))
	b.Uint8(id+2, uint8(t.DstPort))
}

// plainReply is the reply direction of an entry as it would be without NAT.
func plainReply(e *record.Entry) record.Tuple {
	o := &e.Key.Tuple
	reply := record.Tuple{Src: o.Dst, Dst: o.Src, SrcPort: o.DstPort, DstPort: o.SrcPort, Proto: o.Proto}
	if isICMP(o.Proto) {
		// The identifier stays, and NAT leaves the answer's type and code alone.
		reply.SrcPort, reply.DstPort = o.SrcPort, e.Reply.DstPort
	}
	return reply
}

func isICMP(proto uint8) bool { return proto == unix.IPPROTO_ICMP || proto == unix.IPPROTO_ICMPV6 }
