// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// kind is a way that a packet can go.
type kind struct {
	name    string
	frame   func(rig.Family) []byte
	verdict rig.Verdict
	// reason that all packets must count for; others is what some may instead.
	reason loader.Reason
	others []loader.Reason
	// known: the packets' flows are to be in the table, at this place.
	known bool
	place int
	// stores: every packet is of another flow, and is stored.
	stores bool
	// alone: the number of flows makes no difference, and clients are not varied.
	alone bool
	floor func(*floorPrograms, rig.Family) *ebpf.Program
}

// Ports of the services that the cases are about.
const (
	portHere  = rig.PortSelf // a socket of this host listens
	portThere = rig.PortPeer
	// portKnown is the port of the flows in the table; whose they are is written there.
	portKnown = rig.PortFar
)

func kinds() []kind {
	segment := func(port uint16, flags frames.Flags) func(rig.Family) []byte {
		return func(f rig.Family) []byte { return f.ToVIP(port).TCP(flags) }
	}
	return []kind{
		{
			name: "not for a VIP", verdict: rig.Pass, reason: loader.PassOther,
			frame: func(f rig.Family) []byte {
				p := f.ToVIP(portThere)
				p.To = netip.AddrPortFrom(f.Stranger, portThere)
				return p.TCP(frames.ACK)
			},
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Other4, p.Other6 }),
		},
		{
			name: "known flow, here", verdict: rig.Pass, reason: loader.PassLocalFlow, known: true, place: rig.Self,
			frame: segment(portKnown, frames.ACK),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Here4, p.Here6 }),
		},
		{
			name: "known flow, to a peer", verdict: rig.TX, reason: loader.TXFlow, known: true, place: rig.Peer,
			frame: segment(portKnown, frames.ACK),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.There4, p.There6 }),
		},
		{
			name: "new SYN, here", verdict: rig.Pass, reason: loader.PassLocalNew,
			frame: segment(portHere, frames.SYN),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.SynHere4, p.SynHere6 }),
		},
		{
			name: "new SYN, to a peer", verdict: rig.TX, reason: loader.TXNew,
			frame: segment(portThere, frames.SYN),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Syn4, p.Syn6 }),
		},
		{
			name: "second chance, not stored (FIN)", verdict: rig.TX, reason: loader.TXSecondChance,
			frame: segment(portThere, frames.FIN|frames.ACK),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Second4, p.Second6 }),
		},
		{
			name: "second chance, stored", verdict: rig.TX, reason: loader.TXSecondChance, stores: true,
			frame: segment(portThere, frames.ACK),
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Stored4, p.Stored6 }),
		},
		{
			name: "S-BFD probe", verdict: rig.TX, reason: loader.SBFDReflected, frame: probe, alone: true,
			floor: pair(func(p *floorPrograms) (*ebpf.Program, *ebpf.Program) { return p.Probe4, p.Probe6 }),
		},
	}
}

// pair chooses a floor by family.
func pair(of func(*floorPrograms) (*ebpf.Program, *ebpf.Program)) func(*floorPrograms, rig.Family) *ebpf.Program {
	return func(p *floorPrograms, f rig.Family) *ebpf.Program {
		four, six := of(p)
		if f.Is4() {
			return four
		}
		return six
	}
}

// probe is the peer's (RFC 7880 section 7.3.2).
func probe(f rig.Family) []byte {
	p := frames.Packet{
		Dst: rig.SelfMAC(), Src: rig.PeerMAC(), TTL: 255,
		From: netip.AddrPortFrom(f.Peer, 51000), To: netip.AddrPortFrom(f.Self, 7784),
	}
	return p.UDP(frames.Bytes(frames.BFD{
		Version: 1, State: 3, Demand: true, DetectMultiplier: 3, MyDiscriminator: 1,
		YourDiscriminator: frames.Discriminator(f.Discriminator), DesiredMinTxInterval: 2000,
	})...)
}

// firstClient is the last word of the address of a case's first client, far from other
// flows' clients.
const firstClient = 100 << 24

// client is a case's i-th.
func client(f rig.Family, i int) netip.Addr {
	if f.Is4() {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(firstClient+i))
		return netip.AddrFrom4(a)
	}
	a := f.Client.As16()
	binary.BigEndian.PutUint32(a[12:], uint32(firstClient+i))
	return netip.AddrFrom16(a)
}

// flows are the first n clients' to a place.
func flows(f rig.Family, n, place int) []loader.Flow {
	list := make([]loader.Flow, n)
	for i := range list {
		list[i] = loader.Flow{
			Proto: loader.TCP, Place: place, Service: rig.ServiceID(portKnown),
			Client: netip.AddrPortFrom(client(f, i), rig.ClientPort), VIP: netip.AddrPortFrom(f.VIP, portKnown),
		}
	}
	return list
}
