// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// hopRows: what a peer has sent on goes to the stack whatever the tables say. A frame
// is steered once.
func hopRows() (rows []row) {
	for _, f := range rig.Families() {
		const port = rig.PortFar
		flows := known(tcpFlow(f, port, rig.Far), udpFlow(f, port, rig.Far))
		for _, from := range []struct {
			name string
			mac  frames.MAC
		}{{"the peer", rig.PeerMAC()}, {"the far one", rig.FarMAC()}, {"one that this host takes for dead", rig.DownMAC()}} {
			add := func(name string, frame []byte) {
				rows = append(rows, row{
					name: "hop/" + f.Name + " " + name + " from " + from.name, given: flows, frame: frame,
					want: rig.Pass, reason: loader.PassFromPeer,
				})
			}
			p := f.ToVIP(port)
			p.Src = from.mac
			add("SYN", p.TCP(frames.SYN))
			add("ACK", p.TCP(frames.ACK))
			add("FIN", p.TCP(frames.FIN|frames.ACK))
			add("UDP", p.UDP(1, 2, 3))
			frame := icmpErrors(f)[0].about(f, quote(f, f.FromVIP(port).TCP(frames.ACK), 8))
			copy(frame[6:], from.mac[:])
			add("ICMP error", frame)
			p.More = true
			add("fragment", p.UDP(make([]byte, 48)...))
		}
		// What this host itself has sent comes back only by mistake, and is no peer's.
		p := f.ToVIP(port)
		p.Src = rig.SelfMAC()
		rows = append(rows, row{
			name: "hop/" + f.Name + " from this host", given: flows, frame: p.TCP(frames.ACK),
			want: rig.Redirect, reason: loader.TXFlow, out: toFar,
		})
		// The frame as it arrives at the peer, whose flow table would send it back.
		for _, sent := range []struct {
			name  string
			frame []byte
		}{{"SYN", f.ToVIP(port).TCP(frames.SYN)}, {"ACK", f.ToVIP(port).TCP(frames.ACK)}, {"UDP", f.ToVIP(port).UDP(1)}} {
			rows = append(rows, row{
				name: "hop/" + f.Name + " " + sent.name + " at the peer, which takes it for this host's", frame: toPeer(sent.frame),
				given: all(known(tcpFlow(f, port, rig.Self), udpFlow(f, port, rig.Self)), atThePeer),
				want:  rig.Pass, reason: loader.PassFromPeer,
			})
		}
	}
	return rows
}

// atThePeer makes this the peer's program.
func atThePeer(t *testing.T, w *rig.World) {
	t.Helper()
	check(t, w.SetSelf(rig.Peer))
	check(t, w.SetTargetFlags(rig.Peer, loader.TargetLocal|loader.TargetNew|loader.TargetOld))
	check(t, w.SetTargetFlags(rig.Self, loader.TargetNew|loader.TargetOld))
}
