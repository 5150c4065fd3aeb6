// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// Broadcast is Ethernet's address for all.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// ARP makes a request (1) or reply (2) for IPv4 over Ethernet (RFC 826).
func (p Packet) ARP(operation uint16, sender, target netip.Addr) []byte {
	from, to := sender.As4(), target.As4()
	asked := make([]byte, 6)
	body := serialize(&layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: operation,
		SourceHwAddress: p.Src[:], SourceProtAddress: from[:],
		DstHwAddress: asked, DstProtAddress: to[:],
	})
	return p.frame(layers.EthernetTypeARP, body)
}

// ICMPv6 types of neighbour discovery (RFC 4861 section 4).
const (
	solicitation  = 135
	advertisement = 136
)

// Solicit makes a neighbour solicitation for target.
func (p Packet) Solicit(target netip.Addr) []byte {
	p.TTL = 255
	return p.ICMP(solicitation, 0, 0, p.neighbour(target, 1))
}

// Advertise makes a neighbour advertisement for target, O set.
func (p Packet) Advertise(target netip.Addr) []byte {
	p.TTL = 255
	return p.ICMP(advertisement, 0, 1<<29, p.neighbour(target, 2))
}

// neighbour is a target and one link-layer address option.
func (p Packet) neighbour(target netip.Addr, option byte) []byte {
	a := target.As16()
	return append(append(a[:], option, 1), p.Src[:]...)
}

// SolicitedNode is the multicast group that solicitations for an address go to
// (RFC 4291 section 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}
