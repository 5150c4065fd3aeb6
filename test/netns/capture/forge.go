// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Ethernet puts a header in front of a payload.
func Ethernet(dst, src MAC, etherType uint16, payload []byte) []byte {
	b := append(dst[:], src[:]...)
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, payload...)
}

// Packet puts an IP packet into a frame.
func Packet(dst, src MAC, ip IP) []byte {
	if ip.Src.Is4() {
		return Ethernet(dst, src, unix.ETH_P_IP, encodeIPv4(ip))
	}
	return Ethernet(dst, src, unix.ETH_P_IPV6, encodeIPv6(ip))
}

func encodeIPv4(ip IP) []byte {
	b := []byte{0x45, ip.Class}
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(ip.Payload)))
	b = append(b, 0, 0, 0, 0, ip.TTL, ip.Protocol, 0, 0)
	b = append(b, ip.Src.AsSlice()...)
	b = append(b, ip.Dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, ip.Payload...)
}

func encodeIPv6(ip IP) []byte {
	b := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(ip.Class)<<20)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ip.Payload)))
	b = append(b, ip.Protocol, ip.TTL)
	b = append(b, ip.Src.AsSlice()...)
	b = append(b, ip.Dst.AsSlice()...)
	return append(b, ip.Payload...)
}

// GroupMAC is where frames to a multicast group go (RFC 1112 section 6.4, RFC 2464
// section 7).
func GroupMAC(group netip.Addr) MAC {
	b := group.AsSlice()
	if group.Is4() {
		return MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// Frame puts the packet into a frame; the destination may be MAC Broadcast.
func (a ARP) Frame(dst, src MAC) []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, a.Operation)
	b = append(append(b, a.SenderMAC[:]...), a.SenderIP.AsSlice()...)
	b = append(append(b, a.TargetMAC[:]...), a.TargetIP.AsSlice()...)
	return Ethernet(dst, src, unix.ETH_P_ARP, b)
}

// Frame puts the message into a frame, with the right checksum. A LinkLayer becomes
// the option that the message's type has.
func (n Neighbour) Frame(dst, src MAC) []byte {
	var flags, option byte = 0, 1
	if n.Type == NeighbourAdvertisement {
		option = 2
		for bit, set := range map[byte]bool{0x80: n.Router, 0x40: n.Solicited, 0x20: n.Override} {
			if set {
				flags |= bit
			}
		}
	}
	b := append([]byte{n.Type, 0, 0, 0, flags, 0, 0, 0}, n.Target.AsSlice()...)
	if n.LinkLayer != (MAC{}) {
		b = append(append(b, option, 1), n.LinkLayer[:]...)
	}
	ip := n.IP
	ip.TTL, ip.Protocol, ip.Payload = 255, unix.IPPROTO_ICMPV6, b
	binary.BigEndian.PutUint16(b[2:], PseudoSum(ip))
	return Packet(dst, src, ip)
}
