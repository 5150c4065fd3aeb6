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

// legOf is a peer's probe of the leg by way of this host.
func legOf(f rig.Family) sbfd {
	return probeOf(f).with(func(s *sbfd) { s.bfd.YourDiscriminator += loader.LegDiscriminator })
}

// returnOf is a probe of this host's that a peer has sent back as it sends flows.
func returnOf(f rig.Family) sbfd {
	return probeOf(f).with(func(s *sbfd) {
		s.packet.Src, s.packet.Dst = rig.PeerMAC(), rig.SelfMAC()
		s.packet.From = netip.AddrPortFrom(f.Self, rig.ProbePort)
		s.packet.To = netip.AddrPortFrom(f.Peer, sbfdPort)
		s.bfd.MyDiscriminator = rig.Sent
	})
}

// legRows: the probes of legs go back the way that flows would go, and are taken note of
// when they are there again.
func legRows() (rows []row) {
	for _, f := range rig.Families() {
		add := func(r row) {
			r.name = "leg/" + f.Name + " " + r.name
			rows = append(rows, r)
		}
		good := legOf(f)
		forwarded := func(name string, given given, probe sbfd) {
			add(row{name: name, given: given, frame: probe.frame(), want: rig.TX, reason: loader.LegForwarded, out: toPeer})
		}
		forwarded("in service", nil, good)
		forwarded("out of service", outOfService, good)
		forwarded("stale lease", stale, good)
		forwarded("as long as a frame", nil, good.with(func(s *sbfd) { s.at, s.patch = 24, make([]byte, 1400) }))
		forwarded("from a peer that takes nothing new", drains(rig.Peer), good)
		var before uint64
		add(row{
			name: "counted", frame: good.frame(), want: rig.TX, reason: loader.LegForwarded, out: toPeer,
			given: func(t *testing.T, w *rig.World) { t.Helper(); before = legIn(t, w).Forwarded() },
			after: func(t *testing.T, w *rig.World) {
				t.Helper()
				if n := legIn(t, w).Forwarded() - before; n != 1 {
					t.Errorf("counted %d", n)
				}
			},
		})
		add(row{
			name: "too many", given: func(_ *testing.T, w *rig.World) { w.SetProbe(rig.ProbePort, 2*time.Millisecond, 0) },
			frame: good.frame(), want: rig.Drop, reason: loader.SBFDRate,
		})
		add(row{
			name:  "to a peer whose way is not known",
			given: func(t *testing.T, w *rig.World) { t.Helper(); check(t, w.SetTarget(loader.Target{Place: rig.Peer})) },
			frame: good.frame(), want: rig.Drop, reason: loader.SBFDSource,
		})
		dropped := func(name string, reason loader.Reason, change func(*sbfd)) {
			add(row{name: name, frame: good.with(change).frame(), want: rig.Drop, reason: reason})
		}
		dropped("by way of a router", loader.SBFDSource, func(s *sbfd) { s.packet.Src = rig.RouterMAC() })
		dropped("not from a peer", loader.SBFDSource, func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Stranger, 51000) })
		dropped("TTL 254", loader.SBFDTTL, func(s *sbfd) { s.packet.TTL = 254 })
		dropped("D clear", loader.SBFDLoop, func(s *sbfd) { s.bfd.Demand = false })
		dropped("of no host", loader.SBFDDiscriminator, func(s *sbfd) { s.bfd.YourDiscriminator++ })

		back := returnOf(f)
		noted := func(name string, seq uint32) {
			add(row{
				name: name, frame: back.with(func(s *sbfd) { s.bfd.MyDiscriminator = frames.Discriminator(seq) }).frame(),
				want: rig.Drop, reason: loader.LegReturned,
				after: func(t *testing.T, w *rig.World) {
					t.Helper()
					if got := legIn(t, w).Returned(); got != seq {
						t.Errorf("returned is %d, want %d", got, seq)
					}
				},
			})
		}
		noted("back", rig.Sent)
		noted("an earlier one back", rig.Sent-255)
		ignored := func(name string, reason loader.Reason, change func(*sbfd)) {
			var before uint32
			add(row{
				name: name, frame: back.with(change).frame(), want: rig.Drop, reason: reason,
				given: func(t *testing.T, w *rig.World) { t.Helper(); before = legIn(t, w).Returned() },
				after: func(t *testing.T, w *rig.World) {
					t.Helper()
					if got := legIn(t, w).Returned(); got != before {
						t.Errorf("returned is %d, and was %d", got, before)
					}
				},
			})
		}
		ignored("one of long ago", loader.SBFDReplyUnknown, func(s *sbfd) { s.bfd.MyDiscriminator = rig.Sent - 256 })
		ignored("one that was not sent yet", loader.SBFDReplyUnknown, func(s *sbfd) { s.bfd.MyDiscriminator = rig.Sent + 1 })
		ignored("back with TTL 254", loader.SBFDTTL, func(s *sbfd) { s.packet.TTL, s.bfd.MyDiscriminator = 254, rig.Sent-3 })
		ignored("back with a wrong version", loader.SBFDMalformed, func(s *sbfd) { s.bfd.Version, s.bfd.MyDiscriminator = 2, rig.Sent-3 })
		for name, change := range map[string]func(*sbfd){
			"from somebody to a peer": func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Stranger, 51000) },
			"from here to somebody":   func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Stranger, sbfdPort) },
		} {
			add(row{name: name, frame: back.with(change).frame(), want: rig.Pass, reason: loader.PassOther})
		}
	}
	return rows
}

func legIn(t *testing.T, w *rig.World) loader.Leg {
	t.Helper()
	leg, err := w.Leg(rig.Slot)
	check(t, err)
	return leg
}
