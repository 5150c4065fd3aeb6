// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/netip"
	"time"
)

// Port is where S-BFD reflectors listen (RFC 7881 section 2).
const Port = 7784

// PacketLen is the length of a BFD control packet without authentication, in
// bytes (RFC 5880 section 4.1).
const PacketLen = 24

// WireState is the state that a packet carries (RFC 5880 section 4.1).
type WireState uint8

// The states. A reflector says Up or AdminDown, an initiator Down or Up.
const (
	WireAdminDown WireState = 0
	WireDown      WireState = 1
	WireInit      WireState = 2
	WireUp        WireState = 3
)

// The bits of the second byte that stand beside the state.
const (
	flagPoll        = 0x20
	flagFinal       = 0x10
	flagIndependent = 0x08
	flagDemand      = 0x02
)

const version = 1

// Packet is a BFD control packet without authentication. The intervals travel as
// whole microseconds of 32 bits.
type Packet struct {
	Diagnostic  uint8 // RFC 5880 section 4.1; 5 bits
	State       WireState
	Poll        bool
	Final       bool
	Independent bool // C: answered in the data path
	Demand      bool // set by S-BFD initiators, clear from reflectors
	Multiplier  uint8
	My, Your    uint32 // discriminators

	DesiredMinTx      time.Duration
	RequiredMinRx     time.Duration
	RequiredMinEchoRx time.Duration
}

// Append appends the packet's 24 bytes to b. It allocates nothing if b has room.
func (p Packet) Append(b []byte) []byte {
	flags := byte(p.State&3) << 6
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{p.Poll, flagPoll}, {p.Final, flagFinal}, {p.Independent, flagIndependent}, {p.Demand, flagDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|p.Diagnostic&0x1f, flags, p.Multiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.My)
	b = binary.BigEndian.AppendUint32(b, p.Your)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinEchoRx))
}

// Discriminator is what probes to a host must ask for: the 32 bits of an IPv4
// address, the FNV-1a hash of the 16 bytes of an IPv6 one, and never 0, which
// RFC 5880 section 6.8.1 forbids.
func Discriminator(addr netip.Addr) uint32 {
	addr = addr.Unmap()
	var d uint32
	if addr.Is4() {
		a := addr.As4()
		d = binary.BigEndian.Uint32(a[:])
	} else {
		a := addr.As16()
		h := fnv.New32a()
		h.Write(a[:])
		d = h.Sum32()
	}
	return max(d, 1)
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}
