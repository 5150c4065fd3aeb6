// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"net/netip"
)

// VRRPProtocol is VRRP's IP protocol number.
const VRRPProtocol = 112

// Advert is a VRRP message with all its fields as they are on the wire.
type Advert struct {
	Version, Type  uint8
	VRID, Priority uint8
	// Count is what the message says; Addresses are those that it has room for.
	Count uint8
	// Timing is the fifth and sixth byte: in version 3 four reserved bits and the
	// interval in centiseconds, in version 2 the authentication type and the
	// interval in seconds.
	Timing    uint16
	Checksum  uint16
	Addresses []netip.Addr
	// Rest follows the addresses: version 2's authentication data.
	Rest []byte
}

// Reserved are the reserved bits of version 3.
func (a Advert) Reserved() uint16 { return a.Timing >> 12 }

// Centiseconds is the interval of version 3.
func (a Advert) Centiseconds() uint16 { return a.Timing & 0x0fff }

// AuthType is version 2's authentication type.
func (a Advert) AuthType() uint8 { return uint8(a.Timing >> 8) }

// Seconds is the interval of version 2.
func (a Advert) Seconds() uint8 { return uint8(a.Timing) }

// VRRP decodes the advertisement in the frame, and the packet it came in; false if
// there is none.
func (f Frame) VRRP() (Advert, IP, bool) {
	ip, ok := f.IP()
	b := ip.Payload
	if !ok || ip.Protocol != VRRPProtocol || len(b) < 8 {
		return Advert{}, IP{}, false
	}
	a := Advert{
		Version: b[0] >> 4, Type: b[0] & 0x0f, VRID: b[1], Priority: b[2], Count: b[3],
		Timing: binary.BigEndian.Uint16(b[4:]), Checksum: binary.BigEndian.Uint16(b[6:]),
	}
	size := ip.Src.BitLen() / 8
	rest := b[8:]
	for range a.Count {
		if len(rest) < size {
			break
		}
		addr, _ := netip.AddrFromSlice(rest[:size])
		a.Addresses = append(a.Addresses, addr)
		rest = rest[size:]
	}
	a.Rest = rest
	return a, ip, true
}

// Bytes is the message with the Checksum that it holds.
func (a Advert) Bytes() []byte {
	b := []byte{a.Version<<4 | a.Type, a.VRID, a.Priority, a.Count}
	b = binary.BigEndian.AppendUint16(b, a.Timing)
	b = binary.BigEndian.AppendUint16(b, a.Checksum)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	return append(b, a.Rest...)
}

// PlainSum is the Internet checksum (RFC 1071) of the payload alone, 0 where the
// payload holds the right one.
func PlainSum(ip IP) uint16 { return checksum(ip.Payload) }

// PseudoSum is the same with the pseudo-header of the packet's family (RFC 8200
// section 8.1, RFC 793 section 3.1) in front.
func PseudoSum(ip IP) uint16 {
	pseudo := append(ip.Src.AsSlice(), ip.Dst.AsSlice()...)
	if ip.Src.Is4() {
		pseudo = append(pseudo, 0, ip.Protocol)
		pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(ip.Payload)))
	} else {
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(ip.Payload)))
		pseudo = append(pseudo, 0, 0, 0, ip.Protocol)
	}
	return checksum(append(pseudo, ip.Payload...))
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i%2))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
