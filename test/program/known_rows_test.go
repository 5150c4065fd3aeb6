// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"fmt"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// knownFlowRows: a flow in the table goes to its target, whatever the tables say.
func knownFlowRows() (rows []row) {
	for _, f := range rig.Families() {
		const port = rig.PortFar // the table would send it there
		flow := func(place int) loader.Flow { return tcpFlow(f, port, place) }
		ack := f.ToVIP(port).TCP(frames.ACK|frames.PSH, []byte("GET / HTTP/1.1\r\n\r\n")...)
		add := func(r row) {
			r.name = "known/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		add(row{name: "here", given: known(flow(rig.Self)), frame: ack, want: rig.Pass, reason: loader.PassLocalFlow})
		add(row{name: "at the peer", given: known(flow(rig.Peer)), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "behind another interface", given: known(flow(rig.Far)), frame: ack, want: rig.Redirect, reason: loader.TXFlow, out: toFar})
		add(row{name: "of a target that drains", given: all(known(flow(rig.Peer)), drains(rig.Peer)), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "of a dead target", given: known(flow(rig.Down)), frame: ack, want: rig.Pass, reason: loader.PassDeadTarget})
		add(row{name: "here, and this host's haproxy has died", given: all(known(flow(rig.Self)), dies(rig.Self)), frame: ack, want: rig.Pass, reason: loader.PassLocalFlow})
		add(row{name: "of a place that nobody has", given: known(flow(rig.Places + 3)), frame: ack, want: rig.Pass, reason: loader.PassDeadTarget})
		// A daemon that is started again may number services anew. That is for its counters
		// alone: whoever has a flow keeps it, whatever number the flow has.
		for _, service := range []uint16{0, 0x0102, loader.NoService} {
			numbered := func(place int) loader.Flow {
				f := flow(place)
				f.Service = service
				return f
			}
			name := fmt.Sprintf("with the number %#x for its service", service)
			add(row{name: "here, " + name, given: known(numbered(rig.Self)), frame: ack, want: rig.Pass, reason: loader.PassLocalFlow, flows: []loader.Flow{numbered(rig.Self)}})
			add(row{name: "at the peer, " + name, given: known(numbered(rig.Peer)), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer, flows: []loader.Flow{numbered(rig.Peer)}})
			add(row{name: "of a dead target, " + name, given: known(numbered(rig.Down)), frame: ack, want: rig.Pass, reason: loader.PassDeadTarget, flows: []loader.Flow{numbered(rig.Down)}})
		}
		add(row{name: "while the lease is stale", given: all(known(flow(rig.Peer)), stale), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "while the gate is shut", given: all(known(flow(rig.Peer)), backup), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "out of service", given: all(known(flow(rig.Peer)), outOfService), frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{
			name: "of a service that is gone", given: known(tcpFlow(f, rig.PortNone, rig.Peer)),
			frame: f.ToVIP(rig.PortNone).TCP(frames.ACK), want: rig.TX, reason: loader.TXFlow, out: toPeer,
		})
		add(row{
			name: "there, with a socket here", given: all(known(tcpFlow(f, rig.PortPeer, rig.Peer)), connected(f, rig.PortPeer)),
			frame: f.ToVIP(rig.PortPeer).TCP(frames.ACK), want: rig.TX, reason: loader.TXFlow, out: toPeer,
		})
		other := f.ToVIP(port)
		other.Src = frames.MAC{0x02, 9, 9, 9, 9, 9}
		add(row{name: "by another router", given: known(flow(rig.Peer)), frame: other.TCP(frames.ACK), want: rig.TX, reason: loader.TXFlow, out: toPeer})

		for _, end := range []struct {
			name  string
			flags frames.Flags
		}{{"FIN", frames.FIN | frames.ACK}, {"RST", frames.RST}, {"RST-ACK", frames.RST | frames.ACK}} {
			add(row{
				name: end.name, given: known(flow(rig.Peer)), frame: f.ToVIP(port).TCP(end.flags),
				want: rig.TX, reason: loader.TXFlow, out: toPeer, flows: []loader.Flow{closing(flow(rig.Peer))},
			})
			add(row{
				name: end.name + " here", given: known(flow(rig.Self)), frame: f.ToVIP(port).TCP(end.flags),
				want: rig.Pass, reason: loader.PassLocalFlow, flows: []loader.Flow{closing(flow(rig.Self))},
			})
		}
		add(row{
			name: "ACK after a FIN", given: known(closing(flow(rig.Peer))), frame: ack,
			want: rig.TX, reason: loader.TXFlow, out: toPeer, flows: []loader.Flow{closing(flow(rig.Peer))},
		})
		add(row{
			name: "SYN-ACK", given: known(flow(rig.Peer)), frame: f.ToVIP(port).TCP(frames.SYN | frames.ACK),
			want: rig.TX, reason: loader.TXFlow, out: toPeer,
		})
		add(row{
			name: "the packet keeps it from ageing", given: func(t *testing.T, w *rig.World) {
				old := flow(rig.Peer)
				old.Idle = 1e12
				check(t, w.PutFlows([]loader.Flow{old}))
			},
			frame: ack, want: rig.TX, reason: loader.TXFlow, out: toPeer,
			after: func(t *testing.T, w *rig.World) {
				n, err := w.DeleteFlows(loader.IdleLimits{Established: 1e11, Closing: 1e11, UDP: 1e11}.Exceeded)
				check(t, err)
				if n != 0 {
					t.Error("the flow is still idle")
				}
			},
		})
	}
	return rows
}
