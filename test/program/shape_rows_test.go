// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// shapeRows: packets to a VIP whose ports are not where they usually are, or that
// have none, are the stack's. The tables hold a flow that they would belong to.
func shapeRows() (rows []row) {
	for _, f := range rig.Families() {
		const port = rig.PortPeer
		flows := known(tcpFlow(f, port, rig.Peer), udpFlow(f, port, rig.Peer))
		add := func(name string, reason loader.Reason, frame []byte) {
			rows = append(rows, row{name: "shapes/" + f.Name + " " + name, given: flows, frame: frame, want: rig.Pass, reason: reason})
		}
		for _, fragment := range []struct {
			name   string
			offset uint16
			more   bool
		}{{"the first fragment", 0, true}, {"a fragment in between", 100, true}, {"the last fragment", 200, false}} {
			p := f.ToVIP(port)
			p.Fragment, p.Offset, p.More = true, fragment.offset, fragment.more
			add(fragment.name+", TCP", loader.PassFragment, p.TCP(frames.ACK, make([]byte, 44)...))
			add(fragment.name+", UDP", loader.PassFragment, p.UDP(make([]byte, 48)...))
		}
		for _, other := range []struct {
			name string
			n    layers.IPProtocol
		}{{"GRE", layers.IPProtocolGRE}, {"SCTP", layers.IPProtocolSCTP}, {"ESP", layers.IPProtocolESP}, {"AH", layers.IPProtocolAH}, {"VRRP", layers.IPProtocolVRRP}, {"protocol 255", 255}} {
			add(other.name, loader.PassProtocol, f.ToVIP(port).Protocol(other.n, make([]byte, 24)...))
		}
	}

	f := rig.IPv4()
	flows := known(tcpFlow(f, rig.PortPeer, rig.Peer), udpFlow(f, rig.PortPeer, rig.Peer))
	p := f.ToVIP(rig.PortPeer)
	p.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}} // router alert
	rows = append(rows,
		row{name: "shapes/IPv4 options, TCP", given: flows, frame: p.TCP(frames.ACK), want: rig.Pass, reason: loader.PassIPOptions},
		row{name: "shapes/IPv4 options, UDP", given: flows, frame: p.UDP(1), want: rig.Pass, reason: loader.PassIPOptions},
		row{name: "shapes/IPv4 options, SYN", frame: p.TCP(frames.SYN), want: rig.Pass, reason: loader.PassIPOptions},
	)
	rows = append(rows, extensionRows()...)
	return rows
}

// extensionRows: IPv6 packets with extension headers (RFC 8200 section 4).
func extensionRows() (rows []row) {
	f := rig.IPv6()
	given := known(tcpFlow(f, rig.PortPeer, rig.Peer))
	pad := []byte{1, 4, 0, 0, 0, 0} // PadN
	for _, header := range []struct {
		name  string
		proto layers.IPProtocol
		bytes []byte
	}{
		{"hop-by-hop options", layers.IPProtocolIPv6HopByHop, append([]byte{byte(layers.IPProtocolTCP), 0}, pad...)},
		{"destination options", layers.IPProtocolIPv6Destination, append([]byte{byte(layers.IPProtocolTCP), 0}, pad...)},
		{"a routing header", layers.IPProtocolIPv6Routing, []byte{byte(layers.IPProtocolTCP), 0, 253, 0, 0, 0, 0, 0}},
	} {
		p := f.ToVIP(rig.PortPeer)
		p.First, p.Extensions = header.proto, []gopacket.SerializableLayer{gopacket.Payload(header.bytes)}
		rows = append(rows, row{name: "shapes/IPv6 " + header.name, given: given, frame: p.TCP(frames.ACK), want: rig.Pass, reason: loader.PassIPOptions})
	}
	p := f.ToVIP(rig.PortPeer)
	return append(rows, row{name: "shapes/IPv6 no next header", given: given, frame: p.Protocol(layers.IPProtocolNoNextHeader), want: rig.Pass, reason: loader.PassProtocol})
}
