// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// secondChanceRows: a flow that is not in the table belongs to the host that has a
// socket for it.
func secondChanceRows() (rows []row) {
	for _, f := range rig.Families() {
		none := []loader.Flow{}
		ack := func(port uint16) []byte { return f.ToVIP(port).TCP(frames.ACK) }
		stored := func(port uint16, place int) []loader.Flow { return []loader.Flow{tcpFlow(f, port, place)} }
		add := func(r row) {
			r.name = "second chance/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		const far = rig.PortFar // the table would send it there
		add(row{name: "known here", given: connected(f, far), frame: ack(far), want: rig.Pass, reason: loader.PassLocalSocket, flows: stored(far, rig.Self)})
		add(row{name: "known here, half open", given: halfOpen(f, far), frame: handmade(f, far).TCP(frames.ACK), want: rig.Pass, reason: loader.PassLocalSocket, flows: []loader.Flow{handmadeFlow(f, far, rig.Self)}})
		add(row{name: "a listener does not know it", given: listens(f, far), frame: ack(far), want: rig.Redirect, reason: loader.TXSecondChance, out: toFar, flows: stored(far, rig.Far)})
		add(row{name: "the peer's by the table", frame: ack(rig.PortPeer), want: rig.TX, reason: loader.TXSecondChance, out: toPeer, flows: stored(rig.PortPeer, rig.Peer)})
		add(row{name: "the peer's by the table, and it drains", given: drains(rig.Peer), frame: ack(rig.PortPeer), want: rig.TX, reason: loader.TXSecondChance, out: toPeer, flows: stored(rig.PortPeer, rig.Peer)})
		add(row{name: "ours by the table, but unknown", frame: ack(rig.PortSelf), want: rig.Redirect, reason: loader.TXSecondChance, out: toFar, flows: stored(rig.PortSelf, rig.Far)})
		add(row{name: "of a dead target", frame: ack(rig.PortDown), want: rig.Redirect, reason: loader.TXSecondChance, out: toFar, flows: stored(rig.PortDown, rig.Far)})
		add(row{
			name: "when all others are dead", given: all(dies(rig.Peer), dies(rig.Far)), frame: ack(rig.PortPeer),
			want: rig.Pass, reason: loader.PassNoTarget, flows: none,
		})
		add(row{
			name: "with data", frame: f.ToVIP(rig.PortPeer).TCP(frames.ACK|frames.PSH, []byte("hello")...),
			want: rig.TX, reason: loader.TXSecondChance, out: toPeer, flows: stored(rig.PortPeer, rig.Peer),
		})
		add(row{name: "of no service", frame: ack(rig.PortNone), want: rig.Pass, reason: loader.PassNoService, flows: none})
		add(row{name: "of no service, with a socket here", given: connected(f, rig.PortNone), frame: ack(rig.PortNone), want: rig.Pass, reason: loader.PassNoService, flows: none})
		add(row{name: "of a service that stays here", frame: ack(rig.PortStays), want: rig.Redirect, reason: loader.TXSecondChance, out: toFar, flows: stored(rig.PortStays, rig.Far)})
		add(row{
			name: "of a service that stays here, when all others are dead", given: all(dies(rig.Peer), dies(rig.Far)),
			frame: ack(rig.PortStays), want: rig.Pass, reason: loader.PassNoTarget, flows: none,
		})
		add(row{name: "of a service that stays here, with a socket", given: connected(f, rig.PortStays), frame: ack(rig.PortStays), want: rig.Pass, reason: loader.PassLocalSocket, flows: stored(rig.PortStays, rig.Self)})

		for _, end := range []struct {
			name  string
			flags frames.Flags
		}{{"FIN", frames.FIN | frames.ACK}, {"RST", frames.RST}, {"RST-ACK", frames.RST | frames.ACK}, {"SYN-ACK", frames.SYN | frames.ACK}, {"SYN-FIN-ACK", frames.SYN | frames.FIN | frames.ACK}} {
			add(row{
				name: end.name + " is not stored", frame: f.ToVIP(rig.PortPeer).TCP(end.flags),
				want: rig.TX, reason: loader.TXSecondChance, out: toPeer, flows: none,
			})
			add(row{
				name: end.name + " is not stored here", given: connected(f, far), frame: f.ToVIP(far).TCP(end.flags),
				want: rig.Pass, reason: loader.PassLocalSocket, flows: none,
			})
		}

		add(cookieRow(f, "a SYN cookie of ours", 0, row{want: rig.Pass, reason: loader.PassLocalSocket, flows: []loader.Flow{handmadeFlow(f, rig.PortSelf, rig.Self)}}))
		add(cookieRow(f, "no SYN cookie of ours", 0x01000000, row{want: rig.Redirect, reason: loader.TXSecondChance, out: toFar, flows: []loader.Flow{handmadeFlow(f, rig.PortSelf, rig.Far)}}))
	}
	return rows
}

// cookieRow is the ACK of a handshake that this host keeps no state of, the sequence
// number off by so much. Its frame depends on the cookie: given fills it in.
func cookieRow(f rig.Family, name string, off uint32, r row) row {
	p := handmade(f, rig.PortSelf)
	p.Seq = firstSeq + 1
	r.name, r.frame = name, p.TCP(frames.ACK)
	r.given = func(t *testing.T, w *rig.World) {
		t.Helper()
		p.Ack = cookie(t, w, f, rig.PortSelf) + 1 + off
		copy(r.frame, p.TCP(frames.ACK))
	}
	return r
}

func handmadeFlow(f rig.Family, port uint16, place int) loader.Flow {
	flow := tcpFlow(f, port, place)
	flow.Client = netip.AddrPortFrom(f.Handmade, rig.ClientPort)
	return flow
}
