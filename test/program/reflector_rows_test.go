// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// reflectorRows: S-BFD probes (RFC 7880, RFC 7881) are answered in the frame they
// came in.
func reflectorRows() (rows []row) {
	for _, f := range rig.Families() {
		good := probeOf(f)
		add := func(r row) {
			r.name = "reflector/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		answered := func(name string, given given, probe sbfd, state int) {
			add(row{
				name: name, given: given, frame: probe.frame(), want: rig.TX, reason: loader.SBFDReflected,
				out: func([]byte) []byte { return probe.reply(state).frame() },
			})
		}
		answered("in service", nil, good, up)
		answered("initiator is up", nil, good.with(func(s *sbfd) { s.bfd.State = up }), up)
		answered("without P", nil, good.with(func(s *sbfd) { s.bfd.Poll = false }), up)
		answered("with C", nil, good.with(func(s *sbfd) { s.bfd.ControlPlaneIndependent = true }), up)
		answered("with F", nil, good.with(func(s *sbfd) { s.bfd.Final = true; s.bfd.Poll = false }), up)
		answered("with a diagnostic", nil, good.with(func(s *sbfd) { s.bfd.Diagnostic = 1 }), up)
		answered("with intervals", nil, good.with(func(s *sbfd) { s.bfd.RequiredMinRxInterval = 0xfffefdfc; s.bfd.RequiredMinEchoRxInterval = 0x01020304 }), up)
		answered("to the VIP", nil, good.with(func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.VIP, sbfdPort) }), up)
		answered("from a high port", nil, good.with(func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Peer, 65535) }), up)
		answered("longer than it must be", nil, good.with(func(s *sbfd) { s.at, s.patch = 24, make([]byte, 8) }), up)
		answered("out of service", outOfService, good, adminDown)
		answered("stale lease", stale, good, adminDown)
		answered("no lease", func(_ *testing.T, w *rig.World) { w.RenewLease(0) }, good, adminDown)
		answered("out of service, stale lease", all(outOfService, stale), good, adminDown)
		answered("Backup", backup, good, up)
		if f.Is4() {
			answered("without a checksum", nil, good.with(func(s *sbfd) { s.packet.NoChecksum = true }), up)
		}

		dropped := func(name string, reason loader.Reason, change func(*sbfd)) {
			add(row{name: name, frame: good.with(change).frame(), want: rig.Drop, reason: reason})
		}
		const bad = loader.SBFDMalformed
		dropped("version 0", bad, func(s *sbfd) { s.bfd.Version = 0 })
		dropped("version 2", bad, func(s *sbfd) { s.bfd.Version = 2 })
		dropped("version 7", bad, func(s *sbfd) { s.bfd.Version = 7 })
		dropped("length 23", bad, func(s *sbfd) { s.at, s.patch = 3, []byte{23} })
		dropped("length 25 of 24", bad, func(s *sbfd) { s.at, s.patch = 3, []byte{25} })
		dropped("length 0", bad, func(s *sbfd) { s.at, s.patch = 3, []byte{0} })
		dropped("cut by a byte", bad, func(s *sbfd) { s.cut = 1 })
		dropped("empty", bad, func(s *sbfd) { s.cut = 24 })
		dropped("multiplier 0", bad, func(s *sbfd) { s.bfd.DetectMultiplier = 0 })
		dropped("M", bad, func(s *sbfd) { s.bfd.Multipoint = true })
		dropped("A", bad, func(s *sbfd) { s.at, s.patch = 1, []byte{0x40 | 0x20 | 0x04 | 0x02} })
		dropped("my discriminator 0", bad, func(s *sbfd) { s.bfd.MyDiscriminator = 0 })
		dropped("your discriminator another's", loader.SBFDDiscriminator, func(s *sbfd) { s.bfd.YourDiscriminator++ })
		dropped("your discriminator 0", loader.SBFDDiscriminator, func(s *sbfd) { s.bfd.YourDiscriminator = 0 })
		dropped("D clear", loader.SBFDLoop, func(s *sbfd) { s.bfd.Demand = false })
		dropped("from port 7784", loader.SBFDSource, func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Peer, sbfdPort) })
		dropped("not from a peer", loader.SBFDSource, func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Stranger, 51000) })
		dropped("from the VIP", loader.SBFDSource, func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.VIP, 51000) })
		dropped("TTL 254", loader.SBFDTTL, func(s *sbfd) { s.packet.TTL = 254 })
		dropped("TTL 1", loader.SBFDTTL, func(s *sbfd) { s.packet.TTL = 1 })
		add(row{
			name: "too many", given: func(_ *testing.T, w *rig.World) { w.SetProbe(rig.ProbePort, 2*time.Millisecond, 0) },
			frame: good.frame(), want: rig.Drop, reason: loader.SBFDRate,
		})
		l4 := l4At(f)
		if !f.Is4() {
			// A receiver of IPv6 must not take it (RFC 8200 section 8.1).
			add(row{name: "no checksum", frame: edited(good.frame(), l4+6, 0, 0), want: rig.Drop, reason: bad})
		}
		add(row{name: "UDP length beyond the packet", frame: edited(good.frame(), l4+4, 0x7f, 0xff), want: rig.Drop, reason: bad})
		add(row{name: "UDP length of the header alone", frame: edited(good.frame(), l4+4, 0, 8), want: rig.Drop, reason: bad})
		// What the IP header leaves for UDP is an octet short; or the header claims less
		// than itself.
		add(row{name: "UDP length beyond the IP length", frame: shortened(f, good.frame(), 31), want: rig.Drop, reason: bad})
		add(row{name: "IP length of no UDP", frame: shortened(f, good.frame(), 0), want: rig.Drop, reason: bad})
		if f.Is4() {
			add(row{name: "IP length within the IP header", frame: shortened(f, good.frame(), -1), want: rig.Drop, reason: bad})
			add(row{name: "IP length 0", frame: shortened(f, good.frame(), -20), want: rig.Drop, reason: bad})
		}
		add(row{name: "UDP length 0", frame: edited(good.frame(), l4+4, 0, 0), want: rig.Drop, reason: bad})
		for _, at := range []struct {
			name string
			mac  frames.MAC
		}{{"broadcast", frames.Broadcast()}, {"multicast", frames.MAC{0x01, 0, 0x5e, 0, 0, 1}}} {
			// The answer would come from a group's address.
			add(row{name: "to a " + at.name + " address", frame: good.with(func(s *sbfd) { s.packet.Dst = at.mac }).frame(), want: rig.Drop, reason: bad})
		}

		// Not S-BFD's business.
		passed := func(name string, change func(*sbfd)) {
			add(row{name: name, frame: good.with(change).frame(), want: rig.Pass, reason: loader.PassOther})
		}
		passed("to somebody else", func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Stranger, sbfdPort) })
		passed("to port 7785", func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Self, sbfdPort+1) })
		passed("BFD proper", func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Self, 3784) })
		passed("a fragment", func(s *sbfd) { s.packet.More = true })
	}
	return rows
}
