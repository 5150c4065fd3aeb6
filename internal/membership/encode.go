// SPDX-License-Identifier: Apache-2.0

package membership

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
//	           1   2: what follows in the place of the words is as below; 0: there is none
//	mac        6
//	left       4   connections
//	node       text
//	reason     text
//	addresses  1   how many, then for each: family (4 or 6), 4 or 16 bytes
//	words      2   how many of 4 bytes follow
//	           2   how many legs, 2 how many routers
//	legs       4   each: LegKey << 2 | Forwards << 1 | Arrives
//	routers    8   each: key (4), priority (1), standing (1: 0 apart, 1 following, 2 seeking,
//	               3 leading), 2 of zeros
//	services   2   of IPv4: how many, then for each: VIP (4), port (2), protocol (1)
//	           2   of IPv6: the same with 16 bytes; both in ascending order
//
// Earlier releases said 0 or 1 in the byte behind the state, and had instances of 4 bytes
// each, or none, where the words are. They pass over both.
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
	b = append(b, byte(h.State), h.wordsKind())
	b = append(b, h.MAC[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Left)
	b = appendText(b, h.Node)
	b = appendText(b, h.Reason)
	b = append(b, byte(len(h.Addresses)))
	for _, a := range h.Addresses {
		b = append(b, family(!a.Is4()))
		b = appendAddr(b, a)
	}
	b = h.appendWords(b)
	fours := 0
	for fours < len(h.Services) && h.Services[fours].VIP.Is4() {
		fours++
	}
	b = appendServices(b, h.Services[:fours])
	return appendServices(b, h.Services[fours:]), nil
}

// legsAndRouters is what the byte behind the state says if they follow.
const legsAndRouters = 2

// routerWords are the 4-byte words of a router.
const routerWords = 2

func (h Hello) wordsKind() byte {
	if len(h.Legs) > 0 || len(h.Routers) > 0 {
		return legsAndRouters
	}
	return 0
}

func (h Hello) appendWords(b []byte) []byte {
	if h.wordsKind() == 0 {
		return binary.BigEndian.AppendUint16(b, 0)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(h.Legs)+routerWords*len(h.Routers)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Legs)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Routers)))
	for _, l := range h.Legs {
		b = binary.BigEndian.AppendUint32(b, l.word())
	}
	for _, r := range h.Routers {
		b = binary.BigEndian.AppendUint32(b, r.Key)
		b = append(b, r.Priority, byte(r.Standing), 0, 0)
	}
	return b
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
