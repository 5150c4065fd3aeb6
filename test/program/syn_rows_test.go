// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// synRows: a SYN goes to a healthy target by the table, and nothing is stored.
func synRows() (rows []row) {
	for _, f := range rig.Families() {
		syn := func(port uint16) []byte { return f.ToVIP(port).TCP(frames.SYN) }
		none := []loader.Flow{}
		add := func(r row) {
			r.name = "SYN/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		add(row{name: "here", given: listens(f, rig.PortSelf), frame: syn(rig.PortSelf), want: rig.Pass, reason: loader.PassLocalNew, flows: none})
		add(row{name: "to the peer", frame: syn(rig.PortPeer), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: none})
		add(row{name: "behind another interface", frame: syn(rig.PortFar), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{name: "with data (fast open)", frame: f.ToVIP(rig.PortPeer).TCP(frames.SYN, 1, 2, 3), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: none})
		add(row{name: "of no service", frame: syn(rig.PortNone), want: rig.Pass, reason: loader.PassNoService, flows: none})
		add(row{name: "of a service that stays here", given: listens(f, rig.PortStays), frame: syn(rig.PortStays), want: rig.Pass, reason: loader.PassNoTarget, flows: none})
		add(row{name: "while the lease is stale", given: stale, frame: syn(rig.PortPeer), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: none})
		add(row{name: "while the gate is shut", given: backup, frame: syn(rig.PortPeer), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: none})

		// Who cannot take it.
		add(row{name: "here, but nobody listens", frame: syn(rig.PortSelf), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{
			name: "here, but nobody listens, and the others are dead", given: all(dies(rig.Peer), dies(rig.Far)),
			frame: syn(rig.PortSelf), want: rig.Pass, reason: loader.PassNoTarget, flows: none,
		})
		add(row{name: "here, but it drains", given: all(listens(f, rig.PortSelf), drains(rig.Self)), frame: syn(rig.PortSelf), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{name: "to a target that drains", given: drains(rig.Peer), frame: syn(rig.PortPeer), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{name: "to a dead target", frame: syn(rig.PortDown), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{name: "to a dead target, and the first other is dead", given: dies(rig.Far), frame: syn(rig.PortDown), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: none})
		add(row{name: "to a table without targets", frame: syn(rig.PortNobody), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: none})
		add(row{
			name: "when all are dead", given: all(dies(rig.Self), dies(rig.Peer), dies(rig.Far)),
			frame: syn(rig.PortPeer), want: rig.Pass, reason: loader.PassNoTarget, flows: none,
		})

		// A flow with these ports is there already: what the table says counts less.
		open := func(port uint16, place int) loader.Flow { return tcpFlow(f, port, place) }
		const port = rig.PortFar
		add(row{name: "on an open flow of the peer", given: known(open(port, rig.Peer)), frame: syn(port), want: rig.TX, reason: loader.TXNew, out: toPeer})
		add(row{name: "on an open flow of the peer that drains", given: all(known(open(port, rig.Peer)), drains(rig.Peer)), frame: syn(port), want: rig.TX, reason: loader.TXNew, out: toPeer})
		add(row{name: "on an open flow here", given: all(known(open(port, rig.Self)), listens(f, port)), frame: syn(port), want: rig.Pass, reason: loader.PassLocalNew})
		add(row{
			name: "on an open flow here, but nobody listens", given: known(open(port, rig.Self)),
			frame: syn(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{open(port, rig.Far)},
		})
		add(row{
			name: "on an open flow of a dead target", given: known(open(port, rig.Down)),
			frame: syn(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{open(port, rig.Far)},
		})
		add(row{
			name: "on an old flow of a dead target, which is young again", given: func(t *testing.T, w *rig.World) {
				old := open(port, rig.Down)
				old.Idle = 1e12
				check(t, w.PutFlows([]loader.Flow{old}))
			},
			frame: syn(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{open(port, rig.Far)},
			after: func(t *testing.T, w *rig.World) {
				n, err := w.DeleteFlows(loader.IdleLimits{Established: 1e11, Closing: 1e11, UDP: 1e11}.Exceeded)
				check(t, err)
				if n != 0 {
					t.Error("the flow is still idle")
				}
			},
		})
		add(row{
			name: "on a closing flow of another", given: known(closing(open(port, rig.Peer))),
			frame: syn(port), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: []loader.Flow{open(port, rig.Peer)},
		})
		add(row{
			name: "on a closing flow of the same", given: known(closing(open(port, rig.Far))),
			frame: syn(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{open(port, rig.Far)},
		})
		add(row{
			name: "on a closing flow of one that drains", given: all(known(closing(open(rig.PortPeer, rig.Peer))), drains(rig.Peer)),
			frame: syn(rig.PortPeer), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{open(rig.PortPeer, rig.Far)},
		})
		add(row{
			name: "on a flow, when all are dead", given: all(known(open(port, rig.Down)), dies(rig.Self), dies(rig.Peer), dies(rig.Far)),
			frame: syn(port), want: rig.Pass, reason: loader.PassNoTarget,
		})
	}
	return rows
}
