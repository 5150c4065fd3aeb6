// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"slices"

	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// States of BFD (RFC 5880 section 4.1).
const (
	adminDown = iota
	down
	initial
	up
)

// diagAdminDown is why a session is AdminDown (RFC 5880 section 4.1).
const diagAdminDown = 7

// sbfdPort is S-BFD's (RFC 7881 section 3).
const sbfdPort = 7784

// sbfd is an S-BFD packet: what it says, and what carries it.
type sbfd struct {
	packet frames.Packet
	bfd    frames.BFD
	// patch overwrites bytes of the packet before the checksum is computed, from an
	// offset; behind the end it adds.
	at    int
	patch []byte
	cut   int // so many bytes are missing at the end
}

// probeOf is a probe from the peer to this host with nothing wrong about it.
func probeOf(f rig.Family) sbfd {
	return sbfd{
		packet: frames.Packet{
			Dst: rig.SelfMAC(), Src: rig.PeerMAC(), TTL: 255,
			From: netip.AddrPortFrom(f.Peer, 51000), To: netip.AddrPortFrom(f.Self, sbfdPort),
		},
		bfd: frames.BFD{
			Version: 1, State: down, Demand: true, Poll: true, DetectMultiplier: 3,
			MyDiscriminator: 0x00badcab, YourDiscriminator: frames.Discriminator(f.Discriminator),
			DesiredMinTxInterval: 2000, RequiredMinRxInterval: 0, RequiredMinEchoRxInterval: 0,
		},
	}
}

// frame is the packet in its frame.
func (s sbfd) frame() []byte {
	b := slices.Clone(frames.Bytes(s.bfd))
	if end := s.at + len(s.patch); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[s.at:], s.patch)
	return s.packet.UDP(b[:len(b)-s.cut]...)
}

// reply is what the reflector is to answer (RFC 7880 section 7.2.2): turned around, D
// and P clear, F for P, the state and the interval of this host. The rest stays.
func (s sbfd) reply(state int) sbfd {
	p := &s.packet
	p.Dst, p.Src = p.Src, p.Dst
	p.From, p.To = p.To, p.From
	b := &s.bfd
	b.MyDiscriminator, b.YourDiscriminator = b.YourDiscriminator, b.MyDiscriminator
	b.State = frames.State(state)
	b.Diagnostic = 0
	if state == adminDown {
		b.Diagnostic = diagAdminDown
	}
	b.Final, b.Poll, b.Demand, b.ControlPlaneIndependent = b.Poll, false, false, false
	b.RequiredMinRxInterval = 2000
	b.RequiredMinEchoRxInterval = 0
	return s
}

// with returns a changed copy.
func (s sbfd) with(change func(*sbfd)) sbfd {
	change(&s)
	return s
}
