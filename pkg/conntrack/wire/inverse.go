// SPDX-License-Identifier: Apache-2.0

package wire

import "hafast/pkg/conntrack/record"

// IP protocol numbers.
const (
	icmp4 = 1
	icmp6 = 58
)

// inverse returns the tuple that answers to a connection without NAT have: what
// nf_conntrack makes of it (nf_ct_invert_tuple). The ports change places; of ICMP the
// identifier and the code stay and the type is that of the answer. A type that has no
// answer has no inverse in the kernel; here it stays as it is.
func inverse(t record.Tuple) record.Tuple {
	out := record.Tuple{Src: t.Dst, Dst: t.Src, SrcPort: t.DstPort, DstPort: t.SrcPort, Proto: t.Proto}
	if t.Proto == icmp4 || t.Proto == icmp6 {
		out.SrcPort = t.SrcPort
		out.DstPort = uint16(answer(t.Proto, uint8(t.DstPort>>8)))<<8 | t.DstPort&0xff
	}
	return out
}

// answer returns the ICMP type that answers another, and the other way round.
func answer(proto, kind uint8) uint8 {
	if proto == icmp6 {
		switch kind {
		case 128, 129: // echo
			return kind ^ 1
		case 139: // node information query
			return 140
		case 140:
			return 139
		}
		return kind
	}
	switch kind {
	case 0: // echo
		return 8
	case 8:
		return 0
	case 13: // timestamp
		return 14
	case 14:
		return 13
	case 15: // information
		return 16
	case 16:
		return 15
	case 17: // address mask
		return 18
	case 18:
		return 17
	}
	return kind
}
