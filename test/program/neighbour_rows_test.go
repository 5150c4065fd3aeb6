// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

const (
	arpRequest = 1
	arpReply   = 2
)

// neighbourRows: who asks for a VIP is answered by the Active host, while its daemon
// lives.
func neighbourRows() []row { return append(arpRows(), solicitRows()...) }

func arpRows() (rows []row) {
	f := rig.IPv4()
	add := func(r row) {
		r.name = "ARP/" + r.name
		rows = append(rows, r)
	}
	broadcast := frames.Packet{Dst: frames.Broadcast(), Src: rig.RouterMAC()}
	unicast := frames.Packet{Dst: rig.SelfMAC(), Src: rig.RouterMAC()}
	request := broadcast.ARP(arpRequest, f.Stranger, f.VIP)
	add(row{name: "Active", frame: request, want: rig.Pass, reason: loader.PassARPActive})
	add(row{name: "Active, unicast", frame: unicast.ARP(arpRequest, f.Stranger, f.VIP), want: rig.Pass, reason: loader.PassARPActive})
	add(row{name: "Active, stale lease", given: stale, frame: request, want: rig.Drop, reason: loader.DropARPLease})
	add(row{name: "Active, no lease at all", given: func(_ *testing.T, w *rig.World) { w.RenewLease(0) }, frame: request, want: rig.Drop, reason: loader.DropARPLease})
	add(row{name: "Active, out of service", given: outOfService, frame: request, want: rig.Pass, reason: loader.PassARPActive})
	add(row{name: "Backup", given: backup, frame: request, want: rig.Drop, reason: loader.DropARPBackup})
	add(row{name: "Backup, unicast", given: backup, frame: unicast.ARP(arpRequest, f.Stranger, f.VIP), want: rig.Drop, reason: loader.DropARPBackup})
	add(row{name: "Backup, stale lease", given: all(backup, stale), frame: request, want: rig.Drop, reason: loader.DropARPBackup})
	add(row{name: "Active for another VIP", frame: broadcast.ARP(arpRequest, f.Stranger, f.VIP2), want: rig.Drop, reason: loader.DropARPBackup})
	add(row{name: "a probe for a duplicate", given: backup, frame: broadcast.ARP(arpRequest, netip.IPv4Unspecified(), f.VIP), want: rig.Drop, reason: loader.DropARPBackup})
	for _, to := range []struct {
		name string
		addr netip.Addr
	}{{"this host", f.Self}, {"somebody else", f.Stranger}, {"the client", f.Client}} {
		add(row{name: "for " + to.name, frame: broadcast.ARP(arpRequest, f.Peer, to.addr), want: rig.Pass, reason: loader.PassOther})
		add(row{name: "for " + to.name + ", Backup, stale lease", given: all(backup, stale), frame: broadcast.ARP(arpRequest, f.Peer, to.addr), want: rig.Pass, reason: loader.PassOther})
	}
	// Announcements are for the watch on rivals to see.
	add(row{name: "announcement by request, Active", frame: broadcast.ARP(arpRequest, f.VIP, f.VIP), want: rig.Pass, reason: loader.PassARPActive})
	add(row{name: "announcement by reply, Active", frame: broadcast.ARP(arpReply, f.VIP, f.VIP), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "announcement by reply, Backup", given: backup, frame: broadcast.ARP(arpReply, f.VIP, f.VIP), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "reply about the VIP, stale lease", given: stale, frame: unicast.ARP(arpReply, f.VIP, f.Self), want: rig.Pass, reason: loader.PassOther})
	// Other kinds of ARP.
	add(row{name: "RARP's operation", frame: broadcast.ARP(3, f.Stranger, f.VIP), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "another protocol's", given: backup, frame: edited(request, 16, 0x86, 0xdd), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "longer hardware addresses", given: backup, frame: edited(request, 18, 8), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "longer protocol addresses", given: backup, frame: edited(request, 19, 16), want: rig.Pass, reason: loader.PassOther})

	for _, reply := range []struct {
		name    string
		sender  netip.Addr
		op      uint16
		counted uint64
	}{
		{"the witness's reply", rig.Witness(), arpReply, 1},
		{"the witness's request", rig.Witness(), arpRequest, 0},
		{"another's reply", f.Stranger, arpReply, 0},
	} {
		var before uint64
		add(row{
			name: reply.name, given: func(_ *testing.T, w *rig.World) { before = w.WitnessReplies() },
			frame: unicast.ARP(reply.op, reply.sender, f.Self), want: rig.Pass, reason: loader.PassOther,
			after: func(t *testing.T, w *rig.World) {
				if n := w.WitnessReplies() - before; n != reply.counted {
					t.Errorf("counted %d replies, want %d", n, reply.counted)
				}
			},
		})
	}
	return rows
}

func solicitRows() (rows []row) {
	f := rig.IPv6()
	add := func(r row) {
		r.name = "NS/" + r.name
		rows = append(rows, r)
	}
	for _, to := range []string{"multicast", "unicast"} {
		solicit := func(target netip.Addr) []byte {
			p := frames.Packet{Dst: rig.SelfMAC(), Src: rig.RouterMAC(), From: netip.AddrPortFrom(f.Stranger, 0), To: netip.AddrPortFrom(target, 0)}
			if to == "multicast" {
				p.To = netip.AddrPortFrom(frames.SolicitedNode(target), 0)
			}
			return p.Solicit(target)
		}
		add(row{name: to + ", Active", frame: solicit(f.VIP), want: rig.Pass, reason: loader.PassARPActive})
		add(row{name: to + ", Active, stale lease", given: stale, frame: solicit(f.VIP), want: rig.Drop, reason: loader.DropARPLease})
		add(row{name: to + ", Backup", given: backup, frame: solicit(f.VIP), want: rig.Drop, reason: loader.DropARPBackup})
		add(row{name: to + ", Active for another VIP", frame: solicit(f.VIP2), want: rig.Drop, reason: loader.DropARPBackup})
		add(row{name: to + ", for this host, Backup, stale lease", given: all(backup, stale), frame: solicit(f.Self), want: rig.Pass, reason: loader.PassOther})
		add(row{name: to + ", for somebody else", frame: solicit(f.Stranger), want: rig.Pass, reason: loader.PassOther})
	}
	dad := frames.Packet{
		Dst: frames.Broadcast(), Src: rig.RouterMAC(),
		From: netip.AddrPortFrom(netip.IPv6Unspecified(), 0), To: netip.AddrPortFrom(frames.SolicitedNode(f.VIP), 0),
	}
	add(row{name: "duplicate address detection, Active", frame: dad.Solicit(f.VIP), want: rig.Pass, reason: loader.PassARPActive})
	add(row{name: "duplicate address detection, Backup", given: backup, frame: dad.Solicit(f.VIP), want: rig.Drop, reason: loader.DropARPBackup})
	all := dad
	all.From, all.To = netip.AddrPortFrom(f.VIP, 0), netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes(), 0)
	add(row{name: "announcement", frame: all.Advertise(f.VIP), want: rig.Pass, reason: loader.PassOther})
	add(row{name: "announcement, Backup", given: backup, frame: all.Advertise(f.VIP), want: rig.Pass, reason: loader.PassOther})
	toVIP := f.ToVIP(0)
	add(row{name: "an advertisement to the VIP", frame: toVIP.Advertise(f.Stranger), want: rig.Pass, reason: loader.PassProtocol})
	return rows
}
