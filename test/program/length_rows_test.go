// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// lengthRows: what an IP header says of itself must be plain and hold what is read
// behind it, for there may be padding behind the packet. The tables hold a flow that
// the packet would belong to.
func lengthRows() (rows []row) {
	for _, f := range rig.Families() {
		const port = rig.PortPeer
		given := known(tcpFlow(f, port, rig.Peer), udpFlow(f, port, rig.Peer))
		tcp, udp := f.ToVIP(port).TCP(frames.ACK), f.ToVIP(port).UDP(1, 2, 3)
		syn := f.ToVIP(port).TCP(frames.SYN)
		add := func(name string, reason loader.Reason, frame []byte) {
			rows = append(rows, row{name: "lengths/" + f.Name + " " + name, given: given, frame: frame, want: rig.Pass, reason: reason})
		}
		const short = loader.PassTruncated
		add("TCP with 19 bytes", short, shortened(f, tcp, 19))
		add("SYN with 19 bytes", short, shortened(f, syn, 19))
		add("TCP with none", short, shortened(f, tcp, 0))
		add("UDP with 7 bytes", short, shortened(f, udp, 7))
		add("UDP with none", short, shortened(f, udp, 0))
		padded := append(f.ToVIP(port).TCP(frames.ACK), make([]byte, 6)...)
		rows = append(rows, row{
			name: "lengths/" + f.Name + " TCP with padding", given: given, frame: padded,
			want: rig.TX, reason: loader.TXFlow, out: toPeer,
		})
		if !f.Is4() {
			continue
		}
		add("IP of 19 bytes", short, shortened(f, tcp, -1))
		add("IP of none", short, shortened(f, tcp, -20))
		for _, first := range []byte{0x00, 0x40, 0x44, 0x46, 0x4f, 0x55, 0x65} {
			add("first byte "+hex(first), loader.PassIPOptions, edited(tcp, ethernetSize, first))
			add("first byte "+hex(first)+", SYN", loader.PassIPOptions, edited(syn, ethernetSize, first))
		}
	}
	return rows
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return "0x" + digits[b>>4:b>>4+1] + digits[b&15:b&15+1]
}

// floodedRows: a switch that does not know a station sends its frames everywhere.
// What is addressed to another host is that host's to steer, whatever interface its way
// leads to; what this host would keep is its stack's to drop.
func floodedRows() (rows []row) {
	for _, f := range rig.Families() {
		add := func(r row) {
			r.name = "flooded/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		for _, to := range []struct {
			name string
			mac  frames.MAC
			ours bool
		}{
			{"this host", rig.SelfMAC(), true},
			{"a virtual router, IPv4", frames.MAC{0, 0, 0x5e, 0, 1, 51}, true},
			{"a virtual router, IPv6", frames.MAC{0, 0, 0x5e, 0, 2, 51}, true},
			{"the peer", rig.PeerMAC(), false},
			{"this host's other interface", rig.OtherMAC(), false},
			{"somebody", frames.MAC{2, 8, 8, 8, 8, 8}, false},
			{"another block of IANA's", frames.MAC{0, 0, 0x5e, 0, 3, 51}, false},
			{"all", frames.Broadcast(), false},
		} {
			to4 := func(port uint16) frames.Packet {
				p := f.ToVIP(port)
				p.Dst = to.mac
				return p
			}
			sent := func(name string, given given, frame []byte, reason loader.Reason, flows []loader.Flow) {
				r := row{name: name + " to " + to.name, given: given, frame: frame, want: rig.TX, reason: reason, out: toPeer, flows: flows}
				if !to.ours {
					r.want, r.reason, r.out = rig.Pass, loader.PassOther, nil
				}
				add(r)
			}
			const port = rig.PortPeer
			flow := known(tcpFlow(f, port, rig.Peer), udpFlow(f, port, rig.Peer))
			sent("known", flow, to4(port).TCP(frames.ACK), loader.TXFlow, nil)
			sent("known datagram", flow, to4(port).UDP(1), loader.TXFlow, nil)
			sent("SYN", nil, to4(port).TCP(frames.SYN), loader.TXNew, nil)
			sent("second chance, FIN", nil, to4(port).TCP(frames.FIN|frames.ACK), loader.TXSecondChance, nil)
			far := row{
				name: "known to " + to.name + ", behind another interface", given: known(tcpFlow(f, rig.PortFar, rig.Far)),
				frame: to4(rig.PortFar).TCP(frames.ACK), want: rig.Redirect, reason: loader.TXFlow, out: toFar,
			}
			if !to.ours && to.mac != rig.OtherMAC() {
				far.want, far.reason, far.out = rig.Pass, loader.PassOther, nil
			}
			add(far)
			add(row{
				name: "known to " + to.name + ", here", given: known(tcpFlow(f, rig.PortSelf, rig.Self)),
				frame: to4(rig.PortSelf).TCP(frames.ACK), want: rig.Pass, reason: loader.PassLocalFlow,
			})
		}
		// A target whose hardware address the daemon has yet to learn.
		unreached := func(t *testing.T, w *rig.World) {
			t.Helper()
			for _, target := range rig.Targets() {
				if target.Place == rig.Peer {
					check(t, w.SetTarget(loader.Target{Place: rig.Peer, Addr: target.Addr, Flags: target.Flags}))
				}
			}
		}
		const port = rig.PortPeer
		add(row{
			name: "known, of a target without a way", given: all(known(tcpFlow(f, port, rig.Peer)), unreached),
			frame: f.ToVIP(port).TCP(frames.ACK), want: rig.Pass, reason: loader.PassDeadTarget,
		})
		add(row{
			name: "SYN to a target without a way", given: unreached,
			frame: f.ToVIP(port).TCP(frames.SYN), want: rig.Pass, reason: loader.PassDeadTarget,
		})
	}
	return rows
}
