// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// taggedRows: a frame of a VLAN is the business of that VLAN's interface. A tag that has
// a priority and no VLAN is looked behind, and left alone.
func taggedRows() (rows []row) {
	for _, tags := range []struct {
		name  string
		tags  []frames.Tag
		plain bool
	}{
		{"802.1Q", []frames.Tag{{Type: layers.EthernetTypeDot1Q, ID: 7}}, false},
		{"802.1ad", []frames.Tag{{Type: layers.EthernetTypeQinQ, ID: 7}}, false},
		{"QinQ", []frames.Tag{{Type: layers.EthernetTypeQinQ, ID: 100}, {Type: layers.EthernetTypeDot1Q, ID: 7}}, false},
		{"priority, in front of a VLAN", []frames.Tag{{Type: layers.EthernetTypeDot1Q, ID: 0x6000}, {Type: layers.EthernetTypeDot1Q, ID: 7}}, false},
		{"the last VLAN with a priority", []frames.Tag{{Type: layers.EthernetTypeDot1Q, ID: 0x6fff}}, false},
		{"priority", []frames.Tag{{Type: layers.EthernetTypeDot1Q, ID: 0x6000}}, true},
	} {
		for _, f := range rig.Families() {
			add := func(r row) {
				r.name = "tags/" + tags.name + " " + f.Name + " " + r.name
				if !tags.plain {
					r.want, r.reason, r.out = rig.Pass, loader.PassOther, nil
				}
				rows = append(rows, r)
			}
			p := f.ToVIP(rig.PortPeer)
			p.Tags = tags.tags
			add(row{name: "known flow", given: known(tcpFlow(f, rig.PortPeer, rig.Peer)), frame: p.TCP(frames.ACK, 1), want: rig.TX, reason: loader.TXFlow, out: toPeer})
			add(row{name: "SYN", frame: p.TCP(frames.SYN), want: rig.TX, reason: loader.TXNew, out: toPeer})
			other := p
			other.To = netip.AddrPortFrom(f.Stranger, 80)
			add(row{name: "stranger", frame: other.TCP(frames.SYN), want: rig.Pass, reason: loader.PassOther})
			probe := probeOf(f)
			probe.packet.Tags = tags.tags
			add(row{name: "probe", frame: probe.frame(), want: rig.TX, reason: loader.SBFDReflected, out: func([]byte) []byte { return probe.reply(up).frame() }})
			leg := legOf(f)
			leg.packet.Tags = tags.tags
			add(row{name: "leg", frame: leg.frame(), want: rig.TX, reason: loader.LegForwarded, out: toPeer})
		}
		ask := frames.Packet{Dst: frames.Broadcast(), Src: rig.RouterMAC(), Tags: tags.tags}
		request := ask.ARP(arpRequest, rig.IPv4().Stranger, rig.IPv4().VIP)
		active := row{name: "tags/" + tags.name + " ARP, Active", frame: request, want: rig.Pass, reason: loader.PassARPActive}
		standby := row{name: "tags/" + tags.name + " ARP, Backup", given: backup, frame: request, want: rig.Drop, reason: loader.DropARPBackup}
		if !tags.plain {
			active.reason = loader.PassOther
			standby.want, standby.reason = rig.Pass, loader.PassOther
		}
		rows = append(rows, active, standby)
	}
	return rows
}

// jumboRows: frames of more than a page come in pieces (xdp.frags), of which the
// program sees the first.
func jumboRows() (rows []row) {
	for _, f := range rig.Families() {
		for _, size := range []int{3500, 8900, 60000} {
			add := func(r row) {
				r.name = "jumbo/" + f.Name + " " + r.name
				r.name += map[int]string{3500: " 3500", 8900: " 8900", 60000: " 60000"}[size]
				rows = append(rows, r)
			}
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			p := f.ToVIP(rig.PortPeer)
			add(row{name: "known flow", given: known(tcpFlow(f, rig.PortPeer, rig.Peer)), frame: p.TCP(frames.ACK, payload...), want: rig.TX, reason: loader.TXFlow, out: toPeer})
			add(row{name: "unknown flow", frame: p.TCP(frames.ACK, payload...), want: rig.TX, reason: loader.TXSecondChance, out: toPeer, flows: []loader.Flow{tcpFlow(f, rig.PortPeer, rig.Peer)}})
			add(row{name: "datagram", frame: p.UDP(payload...), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: []loader.Flow{udpFlow(f, rig.PortPeer, rig.Peer)}})
			p.To = netip.AddrPortFrom(f.Stranger, 80)
			add(row{name: "stranger", frame: p.TCP(frames.ACK, payload...), want: rig.Pass, reason: loader.PassOther})
		}
	}
	return rows
}
