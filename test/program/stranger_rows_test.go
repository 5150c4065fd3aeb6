// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// strangerRows: what is not for a VIP is nobody's business here.
func strangerRows() (rows []row) {
	add := func(name string, frame []byte) {
		rows = append(rows, row{name: "strangers/" + name, frame: frame, want: rig.Pass, reason: loader.PassOther})
	}
	for _, f := range rig.Families() {
		for _, to := range []struct {
			name string
			addr netip.Addr
		}{{"nobody", f.Stranger}, {"this host", f.Self}, {"the client", f.Client}} {
			p := f.ToVIP(rig.PortPeer)
			p.To = netip.AddrPortFrom(to.addr, rig.PortPeer)
			add(f.Name+" SYN to "+to.name, p.TCP(frames.SYN))
			add(f.Name+" ACK to "+to.name, p.TCP(frames.ACK, 1, 2, 3))
			add(f.Name+" UDP to "+to.name, p.UDP(1, 2, 3))
			add(f.Name+" GRE to "+to.name, p.Protocol(layers.IPProtocolGRE, 0, 0, 8, 0))
			echo := uint8(8)
			if !f.Is4() {
				echo = 128
			}
			add(f.Name+" echo request to "+to.name, p.ICMP(echo, 0, 1, []byte("hello")))
			p.More = true
			add(f.Name+" fragment to "+to.name, p.UDP(1, 2, 3, 4, 5, 6, 7, 8))
		}
		// What this host's haproxy answers does not come in, but another's might be
		// seen on the way.
		add(f.Name+" from the VIP", f.FromVIP(rig.PortPeer).TCP(frames.ACK))
	}
	p := frames.Packet{Dst: rig.SelfMAC(), Src: rig.RouterMAC()}
	add("LLDP", p.Other(layers.EthernetTypeLinkLayerDiscovery, 2, 7, 4))
	add("an 802.3 length for an EtherType", p.Other(38, make([]byte, 46)...))
	add("an unknown EtherType", p.Other(0x88b5, make([]byte, 46)...))
	add("nothing behind the Ethernet header", p.Other(0x88b5))
	return rows
}
