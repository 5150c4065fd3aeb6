// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// MAC is a hardware address that can be compared.
type MAC [6]byte

// MACOf converts an address of 6 bytes; another one becomes the zero MAC.
func MACOf(a net.HardwareAddr) (m MAC) {
	if len(a) == len(m) {
		copy(m[:], a)
	}
	return m
}

// Broadcast is the address of all stations.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// String is the usual notation.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

const ethernetHeader = 14

// Frame is an Ethernet frame as it passed the interface.
type Frame struct {
	// Time is the kernel's, by the wall clock.
	Time time.Time
	// Outgoing says that the host itself sent it.
	Outgoing bool
	// Data is the frame from the destination address on, without its check sequence.
	Data []byte
}

// Dst is where the frame goes.
func (f Frame) Dst() MAC { return MACOf(f.part(0, 6)) }

// Src is who sent the frame.
func (f Frame) Src() MAC { return MACOf(f.part(6, 12)) }

func (f Frame) part(from, to int) []byte {
	if len(f.Data) < to {
		return nil
	}
	return f.Data[from:to]
}

// payload is what the frame carries, if it is of that type.
func (f Frame) payload(etherType uint16) ([]byte, bool) {
	if len(f.Data) < ethernetHeader || binary.BigEndian.Uint16(f.Data[12:]) != etherType {
		return nil, false
	}
	return f.Data[ethernetHeader:], true
}

// IP is an IPv4 or IPv6 packet. Extension headers are not followed.
type IP struct {
	Src, Dst netip.Addr
	// TTL is the time to live or the hop limit.
	TTL      uint8
	Protocol uint8
	// Class is the type of service or traffic class.
	Class   uint8
	Payload []byte
}

// IP decodes the packet in the frame; false if there is none.
func (f Frame) IP() (IP, bool) {
	if b, ok := f.payload(unix.ETH_P_IP); ok {
		return decodeIPv4(b)
	}
	if b, ok := f.payload(unix.ETH_P_IPV6); ok {
		return decodeIPv6(b)
	}
	return IP{}, false
}

func decodeIPv4(b []byte) (IP, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return IP{}, false
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return IP{}, false
	}
	return IP{
		Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20])),
		TTL: b[8], Protocol: b[9], Class: b[1], Payload: b[header:total],
	}, true
}

func decodeIPv6(b []byte) (IP, bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return IP{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length > len(b)-40 {
		return IP{}, false
	}
	return IP{
		Src: netip.AddrFrom16([16]byte(b[8:24])), Dst: netip.AddrFrom16([16]byte(b[24:40])),
		TTL: b[7], Protocol: b[6], Class: b[0]<<4 | b[1]>>4, Payload: b[40:][:length],
	}, true
}

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	// Operation is 1 for a request, 2 for a reply.
	Operation            uint16
	SenderMAC, TargetMAC MAC
	SenderIP, TargetIP   netip.Addr
}

// ARP decodes the ARP packet in the frame; false if there is none.
func (f Frame) ARP() (ARP, bool) {
	b, ok := f.payload(unix.ETH_P_ARP)
	if !ok || len(b) < 28 || binary.BigEndian.Uint64(b)>>16 != 0x000108000604 {
		return ARP{}, false
	}
	return ARP{
		Operation: binary.BigEndian.Uint16(b[6:]),
		SenderMAC: MAC(b[8:14]), SenderIP: netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: MAC(b[18:24]), TargetIP: netip.AddrFrom4([4]byte(b[24:28])),
	}, true
}

// Neighbour types (RFC 4861 sections 4.3 and 4.4).
const (
	NeighbourSolicitation  = 135
	NeighbourAdvertisement = 136
)

// Neighbour is a neighbour solicitation or advertisement.
type Neighbour struct {
	IP
	Type                        uint8
	Router, Solicited, Override bool
	Target                      netip.Addr
	// LinkLayer is the source or target link-layer address option; zero without one.
	LinkLayer MAC
	// ChecksumOK is false where the ICMPv6 checksum is wrong.
	ChecksumOK bool
}

// Neighbour decodes the solicitation or advertisement in the frame; false if there
// is none.
func (f Frame) Neighbour() (Neighbour, bool) {
	ip, ok := f.IP()
	b := ip.Payload
	if !ok || ip.Protocol != unix.IPPROTO_ICMPV6 || !ip.Src.Is6() || len(b) < 24 ||
		b[0] != NeighbourSolicitation && b[0] != NeighbourAdvertisement {
		return Neighbour{}, false
	}
	n := Neighbour{
		IP: ip, Type: b[0], Target: netip.AddrFrom16([16]byte(b[8:24])),
		Router: b[4]&0x80 != 0, Solicited: b[4]&0x40 != 0, Override: b[4]&0x20 != 0,
		ChecksumOK: PseudoSum(ip) == 0,
	}
	for options := b[24:]; len(options) >= 8; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			break
		}
		if options[0] == 1 || options[0] == 2 { // source or target
			n.LinkLayer = MAC(options[2:8])
		}
		options = options[length:]
	}
	return n, true
}
