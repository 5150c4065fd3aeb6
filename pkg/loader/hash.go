// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"net/netip"
)

// The hashes of bpf/hash.h. Words are as they lie in a packet, loaded on a
// little-endian machine, which are the only ones that the object is built for.

const golden = 0x9e3779b1

func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return h
}

// fold brings an address down to a word: an IPv4 address is one.
func fold(a netip.Addr) uint32 {
	if a = a.Unmap(); a.Is4() {
		return word4(a)
	}
	return fold6(words6(a))
}

func fold6(w [4]uint32) uint32 {
	return ((w[0]*golden^w[1])*golden^w[2])*golden ^ w[3]
}

// AddressHash is the bit of the filter that says: this may be a VIP.
func AddressHash(a netip.Addr) uint32 {
	return fold(a) * golden >> 16
}

// ServiceHash is the first place of a service in the table of its family.
func ServiceHash(vip netip.Addr, port uint16, proto uint8) uint32 {
	return uint32(serviceHome(fold(vip), swap16(port), proto))
}

// serviceHome is ServiceHash of what is in the table already.
func serviceHome(folded uint32, port uint16, proto uint8) int {
	return int(mix(folded^(uint32(proto)<<16|uint32(port))*golden) & uint32(serviceSlots-1))
}

// FlowHash spreads flows over the slots of a Maglev table; see TableSlot.
func FlowHash(client, vip netip.AddrPort) uint32 {
	ports := uint32(swap16(client.Port())) | uint32(swap16(vip.Port()))<<16
	return mix(mix(fold(client.Addr())^fold(vip.Addr())*golden) + ports)
}

// TableSlot is the slot of a Maglev table that a hash falls into.
func TableSlot(hash uint32) int {
	return int(uint64(hash) * TableSize >> 32)
}

// swap16 turns a number into network order, and back.
func swap16(n uint16) uint16 { return n<<8 | n>>8 }

func word4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.LittleEndian.Uint32(b[:])
}

func addr4(w uint32) netip.Addr {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], w)
	return netip.AddrFrom4(b)
}

func words6(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

func addr6(w [4]uint32) netip.Addr {
	var b [16]byte
	for i := range w {
		binary.LittleEndian.PutUint32(b[4*i:], w[i])
	}
	return netip.AddrFrom16(b)
}
