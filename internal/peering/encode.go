package peering

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"hafast/internal/steering"
)

// Version is the protocol version that this package speaks.
const Version = 1

// magic is what each hello begins with, in every version.
const magic = "hafP"

// Fixed values on the wire.
const (
	family4 = 4
	family6 = 6
)

// AppendBinary appends the hello as it goes over the wire. Numbers are
// big-endian, a text is its length in one byte and its bytes:
//
//	magic      4   "hafP"
//	version    1   1
//	software   text                   this far, all versions are the same
//	boot       8   not 0
//	sequence   8
//	state      1   1 up, 2 drain, 3 down, 4 stopping
//	           1   2: legs follow in their place; 0: none do
//	mac        6
//	left       4   connections
//	node       text
//	reason     text
//	addresses  1   how many, then for each: family (4 or 6), 4 or 16 bytes
//	legs       2   how many, then for each: 4 bytes, LegKey << 2 | Forwards << 1 | Arrives
//	services   2   of IPv4: how many, then for each: VIP (4), port (2), protocol (1)
//	           2   of IPv6: the same with 16 bytes; both in ascending order
//
// Before the legs, releases said 0 or 1 in the byte behind the state, and had instances of
// 4 bytes each, or none, where the legs are. They pass over both.
//
// There is one way only to write a hello. The error is a Reject: what would be
// rejected is not sent; see Fit.
func (h Hello) AppendBinary(b []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return b, fmt.Errorf("encode hello: %w", err)
	}
	b = append(b, magic...)
	b = append(b, Version)
	b = appendText(b, h.Software)
	b = binary.BigEndian.AppendUint64(b, h.Boot)
	b = binary.BigEndian.AppendUint64(b, h.Sequence)
	b = append(b, byte(h.State), h.hasLegs())
	b = append(b, h.MAC[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Left)
	b = appendText(b, h.Node)
	b = appendText(b, h.Reason)
	b = append(b, byte(len(h.Addresses)))
	for _, a := range h.Addresses {
		b = append(b, family(!a.Is4()))
		b = appendAddr(b, a)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Legs)))
	for _, l := range h.Legs {
		b = binary.BigEndian.AppendUint32(b, l.word())
	}
	fours := 0
	for fours < len(h.Services) && h.Services[fours].VIP.Is4() {
		fours++
	}
	b = appendServices(b, h.Services[:fours])
	return appendServices(b, h.Services[fours:]), nil
}

// legsFollow is what the byte behind the state says if they do.
const legsFollow = 2

func (h Hello) hasLegs() byte {
	if len(h.Legs) > 0 {
		return legsFollow
	}
	return 0
}

const (
	legArrives  = 1
	legForwards = 2
	legKeyShift = 2
)

func (l Leg) word() uint32 {
	w := l.From << legKeyShift
	if l.Arrives {
		w |= legArrives
	}
	if l.Forwards {
		w |= legForwards
	}
	return w
}

func legOf(word uint32) Leg {
	return Leg{From: word >> legKeyShift, Arrives: word&legArrives != 0, Forwards: word&legForwards != 0}
}

func appendServices(b []byte, list []steering.Service) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
	for _, s := range list {
		b = appendAddr(b, s.VIP)
		b = binary.BigEndian.AppendUint16(b, s.Port)
		b = append(b, s.Proto)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		ip := a.As4()
		return append(b, ip[:]...)
	}
	ip := a.As16()
	return append(b, ip[:]...)
}

func family(six bool) byte {
	if six {
		return family6
	}
	return family4
}
