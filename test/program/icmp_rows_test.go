// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// icmpError is an error message of a family.
type icmpError struct {
	name      string
	typ, code uint8
	word      uint32 // behind the checksum
}

func icmpErrors(f rig.Family) []icmpError {
	if f.Is4() {
		return []icmpError{
			{"fragmentation needed", 3, 4, 1400},
			{"port unreachable", 3, 3, 0},
			{"time exceeded", 11, 0, 0},
			{"parameter problem", 12, 0, 0},
		}
	}
	return []icmpError{
		{"packet too big", 2, 0, 1400},
		{"port unreachable", 1, 4, 0},
		{"time exceeded", 3, 0, 0},
		{"parameter problem", 4, 0, 0},
	}
}

// about is an error from a router on the way to the client, about a packet that the
// VIP has sent.
func (e icmpError) about(f rig.Family, sent []byte) []byte {
	p := f.ToVIP(0)
	p.From = netip.AddrPortFrom(f.Stranger, 0)
	return p.ICMP(e.typ, e.code, e.word, sent)
}

// quote is the beginning of a frame's packet: its IP header and so much of the rest.
func quote(f rig.Family, frame []byte, rest int) []byte {
	return frame[ethernetSize:min(l4At(f)+rest, len(frame))]
}

// icmpRows: an error goes where the flow is that it is about.
func icmpRows() (rows []row) {
	for _, f := range rig.Families() {
		for _, e := range icmpErrors(f) {
			rows = append(rows, errorRows(f, e)...)
		}
		rows = append(rows, quoteRows(f, icmpErrors(f)[0])...)
	}
	return rows
}

func errorRows(f rig.Family, e icmpError) (rows []row) {
	add := func(r row) {
		r.name = "ICMP/" + f.Name + " " + e.name + " about " + r.name
		rows = append(rows, r)
	}
	const far = rig.PortFar // the table would send it there
	tcp := func(port uint16) []byte { return e.about(f, quote(f, f.FromVIP(port).TCP(frames.ACK, 1, 2, 3), 8)) }
	udp := func(port uint16) []byte { return e.about(f, quote(f, f.FromVIP(port).UDP(1, 2, 3), 11)) }
	none := []loader.Flow{}
	add(row{name: "a flow here", given: known(tcpFlow(f, far, rig.Self)), frame: tcp(far), want: rig.Pass, reason: loader.PassICMPLocal})
	add(row{name: "a flow of the peer", given: known(tcpFlow(f, far, rig.Peer)), frame: tcp(far), want: rig.TX, reason: loader.TXICMP, out: toPeer})
	add(row{name: "a flow of a dead target", given: known(tcpFlow(f, far, rig.Down)), frame: tcp(far), want: rig.Pass, reason: loader.PassICMPLocal})
	add(row{name: "a datagram of the peer", given: known(udpFlow(f, far, rig.Peer)), frame: udp(far), want: rig.TX, reason: loader.TXICMP, out: toPeer})
	add(row{name: "a datagram from here", given: known(udpFlow(f, far, rig.Self)), frame: udp(far), want: rig.Pass, reason: loader.PassICMPLocal})
	add(row{name: "an unknown flow, the peer's by the table", frame: tcp(rig.PortPeer), want: rig.TX, reason: loader.TXICMP, out: toPeer, flows: none})
	add(row{name: "an unknown flow, with a socket here", given: connected(f, far), frame: tcp(far), want: rig.Pass, reason: loader.PassICMPLocal, flows: none})
	add(row{name: "an unknown flow, ours by the table", frame: tcp(rig.PortSelf), want: rig.Redirect, reason: loader.TXICMP, out: toFar, flows: none})
	add(row{name: "an unknown datagram, the peer's by the table", frame: udp(rig.PortPeer), want: rig.TX, reason: loader.TXICMP, out: toPeer, flows: none})
	add(row{name: "an unknown datagram, ours by the table", frame: udp(rig.PortSelf), want: rig.Pass, reason: loader.PassICMPLocal, flows: none})
	add(row{name: "no service", frame: tcp(rig.PortNone), want: rig.Pass, reason: loader.PassNoService, flows: none})
	return rows
}

// quoteRows: what an error quotes may be anything.
func quoteRows(f rig.Family, e icmpError) (rows []row) {
	given := known(tcpFlow(f, rig.PortPeer, rig.Peer), udpFlow(f, rig.PortPeer, rig.Peer))
	add := func(name string, reason loader.Reason, frame []byte) {
		rows = append(rows, row{name: "ICMP/" + f.Name + " " + name, given: given, frame: frame, want: rig.Pass, reason: reason})
	}
	sent := f.FromVIP(rig.PortPeer)
	add("a quote that ends within the ports", loader.PassTruncated, e.about(f, quote(f, sent.TCP(frames.ACK), 3)))
	add("a quote without ports", loader.PassTruncated, e.about(f, quote(f, sent.TCP(frames.ACK), 0)))
	add("a quote of half a header", loader.PassTruncated, e.about(f, quote(f, sent.TCP(frames.ACK), -8)))
	add("no quote", loader.PassTruncated, e.about(f, nil))
	add("a quote of GRE", loader.PassProtocol, e.about(f, quote(f, sent.Protocol(layers.IPProtocolGRE, make([]byte, 8)...), 8)))
	echo, unreachable := uint8(8), uint8(0)
	if !f.Is4() {
		echo = 128
	}
	add("a quote of an echo", loader.PassProtocol, e.about(f, quote(f, sent.ICMP(echo, unreachable, 1, nil), 8)))
	add("echo request", loader.PassProtocol, f.ToVIP(0).ICMP(echo, 0, 1, []byte("hello")))
	add("echo reply", loader.PassProtocol, f.ToVIP(0).ICMP(map[bool]uint8{true: 0, false: 129}[f.Is4()], 0, 1, []byte("hello")))
	fragment := sent
	fragment.Offset, fragment.More = 100, true
	if f.Is4() {
		add("a quote of a later fragment", loader.PassIPOptions, e.about(f, quote(f, fragment.UDP(make([]byte, 16)...), 8)))
		options := sent
		options.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		add("a quote with IP options", loader.PassIPOptions, e.about(f, quote(f, options.TCP(frames.ACK), 12)))
		add("redirect", loader.PassProtocol, icmpError{"redirect", 5, 1, 0}.about(f, quote(f, sent.TCP(frames.ACK), 8)))
		add("source quench", loader.PassProtocol, icmpError{"quench", 4, 0, 0}.about(f, quote(f, sent.TCP(frames.ACK), 8)))
		// The first fragment has the ports.
		first := sent
		first.More = true
		rows = append(rows, row{
			name: "ICMP/IPv4 a quote of a first fragment", given: given, frame: e.about(f, quote(f, first.TCP(frames.ACK, make([]byte, 20)...), 8)),
			want: rig.TX, reason: loader.TXICMP, out: toPeer,
		})
	} else {
		add("a quote of a fragment", loader.PassProtocol, e.about(f, quote(f, fragment.UDP(make([]byte, 16)...), 16)))
		add("an unknown error", loader.PassProtocol, icmpError{"unknown", 100, 0, 0}.about(f, quote(f, sent.TCP(frames.ACK), 8)))
		add("type 0", loader.PassProtocol, icmpError{"reserved", 0, 0, 0}.about(f, quote(f, sent.TCP(frames.ACK), 8)))
	}
	return rows
}
