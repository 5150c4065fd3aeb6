// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/binary"
	"net/netip"
)

// Sighting is one frame of interest on the wire. Exactly one of Advert and
// Announced is set.
type Sighting struct {
	// At is the kernel's receive timestamp, in nanoseconds of CLOCK_REALTIME.
	At     int64
	Advert *Advert
	// Announced is the address of a gratuitous ARP, and MAC where it is said to be.
	Announced netip.Addr
	MAC       [6]byte
}

// Advert is what is needed of a VRRP advert, of either version.
type Advert struct {
	Src      netip.Addr
	VRID     uint8
	Priority uint8
}

// The parts of frames that are looked at. This is read by hand and not
// with the decoder of the daemon that is measured.
const (
	ethernetHeader = 14
	etherTypeIPv4  = 0x0800
	etherTypeARP   = 0x0806
	protocolVRRP   = 112
	arpIPv4Length  = 28
)

// parseFrame tells what an Ethernet frame is a sighting of, if anything.
func parseFrame(frame []byte, at int64) (Sighting, bool) {
	if len(frame) < ethernetHeader {
		return Sighting{}, false
	}
	payload := frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherTypeARP:
		return parseARP(payload, at)
	case etherTypeIPv4:
		return parseAdvert(payload, at)
	}
	return Sighting{}, false
}

// parseARP knows a gratuitous ARP, request or reply, by its sender asking for or
// telling of its own address (RFC 5227 section 3).
func parseARP(p []byte, at int64) (Sighting, bool) {
	// Hardware type 1, protocol type IPv4, lengths 6 and 4 (RFC 826).
	if len(p) < arpIPv4Length || binary.BigEndian.Uint64(p)>>16 != 0x000108000604 {
		return Sighting{}, false
	}
	sender := netip.AddrFrom4([4]byte(p[14:18]))
	target := netip.AddrFrom4([4]byte(p[24:28]))
	return Sighting{At: at, Announced: sender, MAC: [6]byte(p[8:14])}, sender == target
}

func parseAdvert(p []byte, at int64) (Sighting, bool) {
	if len(p) < 20 || p[9] != protocolVRRP {
		return Sighting{}, false
	}
	header := int(p[0]&0x0f) * 4
	if header < 20 || len(p) < header+3 {
		return Sighting{}, false
	}
	vrrp := p[header:]
	return Sighting{At: at, Advert: &Advert{
		Src: netip.AddrFrom4([4]byte(p[12:16])), VRID: vrrp[1], Priority: vrrp[2],
	}}, true
}
