// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// udpRows: the first datagram makes the flow.
func udpRows() (rows []row) {
	for _, f := range rig.Families() {
		none := []loader.Flow{}
		udp := func(port uint16) []byte { return f.ToVIP(port).UDP([]byte("hello")...) }
		stored := func(port uint16, place int) []loader.Flow { return []loader.Flow{udpFlow(f, port, place)} }
		add := func(r row) {
			r.name = "UDP/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		add(row{name: "new, here", frame: udp(rig.PortSelf), want: rig.Pass, reason: loader.PassLocalNew, flows: stored(rig.PortSelf, rig.Self)})
		add(row{name: "new, to the peer", frame: udp(rig.PortPeer), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: stored(rig.PortPeer, rig.Peer)})
		add(row{name: "new, behind another interface", frame: udp(rig.PortFar), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: stored(rig.PortFar, rig.Far)})
		add(row{name: "new, to a dead target", frame: udp(rig.PortDown), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: stored(rig.PortDown, rig.Far)})
		add(row{name: "new, to one that drains", given: drains(rig.Peer), frame: udp(rig.PortPeer), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: stored(rig.PortPeer, rig.Far)})
		add(row{name: "empty", frame: f.ToVIP(rig.PortPeer).UDP(), want: rig.TX, reason: loader.TXNew, out: toPeer, flows: stored(rig.PortPeer, rig.Peer)})
		add(row{name: "of no service", frame: udp(rig.PortNone), want: rig.Pass, reason: loader.PassNoService, flows: none})
		add(row{name: "of a service that stays here", frame: udp(rig.PortStays), want: rig.Pass, reason: loader.PassNoTarget, flows: none})
		add(row{
			name: "when all are dead", given: all(dies(rig.Self), dies(rig.Peer), dies(rig.Far)), frame: udp(rig.PortPeer),
			want: rig.Pass, reason: loader.PassNoTarget, flows: none,
		})

		const port = rig.PortFar // the table would send it there
		flow := func(place int) loader.Flow { return udpFlow(f, port, place) }
		add(row{name: "known, here", given: known(flow(rig.Self)), frame: udp(port), want: rig.Pass, reason: loader.PassLocalFlow})
		add(row{name: "known, at the peer", given: known(flow(rig.Peer)), frame: udp(port), want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "known, of one that drains", given: all(known(flow(rig.Peer)), drains(rig.Peer)), frame: udp(port), want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{name: "known, of one that has died", given: known(flow(rig.Down)), frame: udp(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: stored(port, rig.Far)})
		add(row{
			name: "known, here, and this host's haproxy has died", given: all(known(flow(rig.Self)), dies(rig.Self)),
			frame: udp(port), want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: stored(port, rig.Far),
		})
		add(row{name: "known, of a service that is gone", given: known(udpFlow(f, rig.PortNone, rig.Peer)), frame: udp(rig.PortNone), want: rig.TX, reason: loader.TXFlow, out: toPeer})
		add(row{
			name: "a TCP flow with the same ports", given: known(tcpFlow(f, port, rig.Peer)), frame: udp(port),
			want: rig.Redirect, reason: loader.TXNew, out: toFar, flows: []loader.Flow{tcpFlow(f, port, rig.Peer), udpFlow(f, port, rig.Far)},
		})
	}
	f := rig.IPv4()
	p := f.ToVIP(rig.PortPeer)
	p.NoChecksum = true
	return append(rows, row{
		name: "UDP/IPv4 without a checksum", frame: p.UDP(1, 2, 3), want: rig.TX, reason: loader.TXNew, out: toPeer,
		flows: []loader.Flow{udpFlow(f, rig.PortPeer, rig.Peer)},
	})
}
