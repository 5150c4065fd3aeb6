// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// MAC is a hardware address.
type MAC [6]byte

// Flags are TCP's, as in byte 13 of its header (RFC 9293 section 3.1).
type Flags uint8

// The flags that matter to a data path.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Tag is an 802.1Q or 802.1ad header.
type Tag struct {
	Type layers.EthernetType // of the header: Dot1Q or QinQ
	ID   uint16              // of the VLAN
}

// Packet is what a frame is made from. Its methods add what the packet carries.
type Packet struct {
	Dst, Src MAC
	Tags     []Tag // from the outermost
	From, To netip.AddrPort
	TTL      uint8 // hop limit; 0 means 64

	// Offset, in units of 8 bytes, and More make it a fragment (Fragment alone: an
	// "atomic" one of IPv6, RFC 6946).
	Fragment bool
	Offset   uint16
	More     bool

	Options    []layers.IPv4Option          // IPv4 only
	Extensions []gopacket.SerializableLayer // IPv6 only: headers, already chained
	First      layers.IPProtocol            // IPv6 only: the type of the first of them
	NoChecksum bool                         // UDP over IPv4 without a checksum
	Seq, Ack   uint32                       // TCP
	TCPOptions []layers.TCPOption           // TCP
}

// ends returns how serializing works: checksums and lengths are computed.
func fix() gopacket.SerializeOptions {
	return gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
}

// TCP makes a segment.
func (p Packet) TCP(flags Flags, payload ...byte) []byte {
	l := &layers.TCP{
		SrcPort: layers.TCPPort(p.From.Port()), DstPort: layers.TCPPort(p.To.Port()),
		Seq: p.Seq, Ack: p.Ack, Window: 64240, Options: p.TCPOptions,
		FIN: flags&FIN != 0, SYN: flags&SYN != 0, RST: flags&RST != 0, PSH: flags&PSH != 0, ACK: flags&ACK != 0,
	}
	return p.over(layers.IPProtocolTCP, l, payload)
}

// UDP makes a datagram.
func (p Packet) UDP(payload ...byte) []byte {
	l := &layers.UDP{SrcPort: layers.UDPPort(p.From.Port()), DstPort: layers.UDPPort(p.To.Port())}
	return p.over(layers.IPProtocolUDP, l, payload)
}

// ICMP makes a message of the address family's ICMP: type, code, the four bytes after
// the checksum, and the rest.
func (p Packet) ICMP(typ, code uint8, word uint32, body []byte) []byte {
	if p.To.Addr().Is4() {
		l := &layers.ICMPv4{
			TypeCode: layers.CreateICMPv4TypeCode(typ, code), Id: uint16(word >> 16), Seq: uint16(word),
		}
		return p.over(layers.IPProtocolICMPv4, l, body)
	}
	l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
	body = append([]byte{byte(word >> 24), byte(word >> 16), byte(word >> 8), byte(word)}, body...)
	return p.over(layers.IPProtocolICMPv6, l, body)
}

// Protocol makes a packet of any other protocol.
func (p Packet) Protocol(n layers.IPProtocol, body ...byte) []byte {
	return p.over(n, nil, body)
}

// over puts a transport header, which may be nil, into IP and Ethernet.
func (p Packet) over(proto layers.IPProtocol, l4 gopacket.SerializableLayer, payload []byte) []byte {
	ttl := p.TTL
	if ttl == 0 {
		ttl = 64
	}
	var chain []gopacket.SerializableLayer
	var l3 gopacket.NetworkLayer
	etherType := layers.EthernetTypeIPv4
	src, dst := net.IP(p.From.Addr().AsSlice()), net.IP(p.To.Addr().AsSlice())
	if p.To.Addr().Is4() {
		ip := &layers.IPv4{
			Version: 4, TTL: ttl, Protocol: proto, SrcIP: src, DstIP: dst, Id: 0x4242,
			FragOffset: p.Offset, Options: p.Options,
		}
		if p.More {
			ip.Flags = layers.IPv4MoreFragments
		}
		chain, l3 = append(chain, ip), ip
	} else {
		etherType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: proto, SrcIP: src, DstIP: dst}
		chain, l3 = append(chain, ip), ip
		if p.Extensions != nil {
			ip.NextHeader = p.First
			chain = append(chain, p.Extensions...)
		}
		if p.Fragment || p.Offset != 0 || p.More {
			ip.NextHeader = layers.IPProtocolIPv6Fragment
			chain = append(chain, &layers.IPv6Fragment{
				NextHeader: proto, FragmentOffset: p.Offset, MoreFragments: p.More, Identification: 0x4242,
			})
		}
	}
	if l, ok := l4.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); ok {
		must(l.SetNetworkLayerForChecksum(l3))
	}
	// A fragment that is not the first begins in the middle of something.
	if l4 != nil && p.Offset == 0 {
		chain = append(chain, l4)
	}
	body := serialize(append(chain, gopacket.Payload(payload))...)
	if p.NoChecksum {
		clear(body[26:28])
	}
	return p.frame(etherType, body)
}

// frame puts a packet into Ethernet, as short as it is: drivers see frames without
// the padding of the wire.
func (p Packet) frame(etherType layers.EthernetType, body []byte) []byte {
	var b []byte
	b = append(append(b, p.Dst[:]...), p.Src[:]...)
	for _, t := range p.Tags {
		b = append(b, byte(t.Type>>8), byte(t.Type), byte(t.ID>>8), byte(t.ID))
	}
	return append(append(b, byte(etherType>>8), byte(etherType)), body...)
}

// Other makes a frame of any EtherType.
func (p Packet) Other(etherType layers.EthernetType, body ...byte) []byte {
	return p.frame(etherType, body)
}

func serialize(chain ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(b, fix(), chain...))
	return b.Bytes()
}

// must panics: the frames are the tests' own, and an error is theirs.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("frames: %v", err))
	}
}
