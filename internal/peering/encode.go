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
//	           1   0
//	mac        6
//	left       4   connections
//	node       text
//	reason     text
//	addresses  1   how many, then for each: family (4 or 6), 4 or 16 bytes
//	           2   0
//	services   2   of IPv4: how many, then for each: VIP (4), port (2), protocol (1)
//	           2   of IPv6: the same with 16 bytes; both in ascending order
//
// Where there is a 0, earlier releases said whether the host answers S-BFD, and how
// many instances of 4 bytes each follow. Both are passed over.
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
	b = append(b, byte(h.State), 0)
	b = append(b, h.MAC[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Left)
	b = appendText(b, h.Node)
	b = appendText(b, h.Reason)
	b = append(b, byte(len(h.Addresses)))
	for _, a := range h.Addresses {
		b = append(b, family(!a.Is4()))
		b = appendAddr(b, a)
	}
	b = append(b, 0, 0)
	fours := 0
	for fours < len(h.Services) && h.Services[fours].VIP.Is4() {
		fours++
	}
	b = appendServices(b, h.Services[:fours])
	return appendServices(b, h.Services[fours:]), nil
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
