// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net/netip"

	"hafast/test/program/frames"
)

// Places of the targets. This host's is not 0, and neither is the first that is
// alive this host: mistakes would not show.
const (
	Far = iota // behind another interface
	Self
	Peer
	Down // known, but dead
	Places
)

// Ports of the VIP that have a TCP and a UDP service, named after the place that
// their tables are full of.
const (
	PortSelf   = 8000
	PortPeer   = 8001
	PortFar    = 8002
	PortDown   = 8003 // the table still names one that has died
	PortSpread = 8004 // Far, Self and Peer in turn
	PortNobody = 8005 // a table without targets
	PortStays  = 8006 // no table: stays on this host
	PortNone   = 9000 // no service
	ProbePort  = 49990
)

// Interfaces. Test-runs come in through lo.
const (
	Lo    = 1
	Other = 2
)

// ReflectLimit is how many probes are answered within one window.
const ReflectLimit = 4

// Family is the addresses of the world in one address family.
type Family struct {
	Name     string
	VIP      netip.Addr
	VIP2     netip.Addr // of a gate that Reset leaves closed
	Client   netip.Addr
	Self     netip.Addr // this host's own
	Peer     netip.Addr
	Stranger netip.Addr // nobody of ours
	Handmade netip.Addr // a client without a stack, behind the wire
	// Discriminator is what probes to Self must ask for.
	Discriminator uint32
}

// IPv4 is the world in IPv4.
func IPv4() Family {
	return Family{
		Name: "IPv4", VIP: netip.MustParseAddr("10.0.0.100"), VIP2: netip.MustParseAddr("10.0.0.101"),
		Client: netip.MustParseAddr("192.0.2.7"), Self: netip.MustParseAddr("10.0.0.1"),
		Peer: netip.MustParseAddr("10.0.0.2"), Stranger: netip.MustParseAddr("10.0.0.77"), Handmade: netip.MustParseAddr("192.0.2.8"),
		Discriminator: 0x0a000001,
	}
}

// IPv6 is the world in IPv6.
func IPv6() Family {
	return Family{
		Name: "IPv6", VIP: netip.MustParseAddr("fd00::100"), VIP2: netip.MustParseAddr("fd00::101"),
		Client: netip.MustParseAddr("2001:db8::7"), Self: netip.MustParseAddr("fd00::1"),
		Peer: netip.MustParseAddr("fd00::2"), Stranger: netip.MustParseAddr("fd00::77"), Handmade: netip.MustParseAddr("2001:db8::8"),
		Discriminator: 0xfd000001,
	}
}

// Families are both.
func Families() []Family { return []Family{IPv4(), IPv6()} }

// Hardware addresses.
func RouterMAC() frames.MAC { return frames.MAC{0x02, 0, 0, 0, 0, 0x01} }

// SelfMAC is this host's on lo's side; OtherMAC the one on its other interface.
func SelfMAC() frames.MAC  { return frames.MAC{0x02, 0, 0, 0, 0x01, 0x01} }
func OtherMAC() frames.MAC { return frames.MAC{0x02, 0, 0, 0, 0x01, 0x02} }
func PeerMAC() frames.MAC  { return frames.MAC{0x02, 0, 0, 0, 0x02, 0x01} }
func FarMAC() frames.MAC   { return frames.MAC{0x02, 0, 0, 0, 0x03, 0x01} }
func DownMAC() frames.MAC  { return frames.MAC{0x02, 0, 0, 0, 0x04, 0x01} }

// ClientPort is where the flows of most tests come from.
const ClientPort = 40000

// ToVIP is a packet from the client, by the router, to a port of the VIP.
func (f Family) ToVIP(port uint16) frames.Packet {
	return frames.Packet{
		Dst: SelfMAC(), Src: RouterMAC(),
		From: netip.AddrPortFrom(f.Client, ClientPort), To: netip.AddrPortFrom(f.VIP, port),
	}
}

// FromVIP is the answer to ToVIP, as it is quoted in ICMP errors.
func (f Family) FromVIP(port uint16) frames.Packet {
	p := f.ToVIP(port)
	p.From, p.To = p.To, p.From
	p.Dst, p.Src = p.Src, p.Dst
	return p
}

// Is4 tells the families apart.
func (f Family) Is4() bool { return f.VIP.Is4() }
