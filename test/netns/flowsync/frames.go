// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	ethernetLen = 14
	ipv4Len     = 20
	// frameLen is that of the smallest frame there is, less the checksum that a card
	// would add.
	frameLen = 60

	tcpACK = 0x10
)

// client is who begins a flow.
type client struct {
	addr [4]byte
	port uint16
}

// clientNo is the ith of many different ones, of the addresses that are for measurements
// (RFC 2544 appendix C.2.2): 6.5 thousand million.
func clientNo(i uint32) client {
	const ports = 50000
	host := i / ports
	return client{addr: [4]byte{198, 18 + byte(host>>16)&1, byte(host >> 8), byte(host)}, port: uint16(10000 + i%ports)}
}

// mould is a frame that begins a flow, but for who sends it.
type mould struct {
	frame [frameLen]byte
	proto uint8
	// ip and l4 are the sums of what is the same in all frames, for the checksums.
	ip, l4 uint32
}

// newMould makes one for a protocol, unix.IPPROTO_UDP or unix.IPPROTO_TCP, an IPv4 VIP,
// and the hardware addresses of who has it and of who sends.
func newMould(proto uint8, vip netip.AddrPort, to, from net.HardwareAddr) *mould {
	m := &mould{proto: proto}
	copy(m.frame[0:6], to)
	copy(m.frame[6:12], from)
	binary.BigEndian.PutUint16(m.frame[12:], unix.ETH_P_IP)

	length := uint16(frameLen - ethernetLen)
	if proto == unix.IPPROTO_TCP {
		length = ipv4Len + 20 // the rest is padding
	}
	ip := m.frame[ethernetLen:][:ipv4Len]
	ip[0] = 0x45 // IPv4, a header of 5 words
	binary.BigEndian.PutUint16(ip[2:], length)
	ip[8] = 64 // TTL
	ip[9] = proto
	addr := vip.Addr().As4()
	copy(ip[16:], addr[:])
	m.ip = sum(ip)

	l4 := m.frame[ethernetLen+ipv4Len:][:length-ipv4Len]
	binary.BigEndian.PutUint16(l4[2:], vip.Port())
	if proto == unix.IPPROTO_TCP {
		l4[12] = 5 << 4 // a header of 5 words
		l4[13] = tcpACK
		binary.BigEndian.PutUint16(l4[14:], 1024) // the window
	} else {
		binary.BigEndian.PutUint16(l4[4:], length-ipv4Len)
	}
	// The pseudo-header (RFC 9293 section 3.1) is in the checksum too.
	m.l4 = sum(l4) + sum(addr[:]) + uint32(proto) + uint32(length-ipv4Len)
	return m
}

// cast makes the frame of a client's. It is valid until the next one is made.
func (m *mould) cast(c client) []byte {
	ip, l4 := m.frame[ethernetLen:][:ipv4Len], m.frame[ethernetLen+ipv4Len:]
	copy(ip[12:], c.addr[:])
	who := sum(c.addr[:])
	binary.BigEndian.PutUint16(ip[10:], fold(m.ip+who))
	binary.BigEndian.PutUint16(l4, c.port)
	at := 6 // of UDP's checksum
	if m.proto == unix.IPPROTO_TCP {
		at = 16
	}
	binary.BigEndian.PutUint16(l4[at:], fold(m.l4+who+uint32(c.port)))
	return m.frame[:]
}

// sum adds up 16-bit words, and fold makes an Internet checksum of it (RFC 1071).
func sum(b []byte) (s uint32) {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	if s == 0xffff {
		return 0xffff // 0 would mean that there is none (RFC 768)
	}
	return ^uint16(s)
}
