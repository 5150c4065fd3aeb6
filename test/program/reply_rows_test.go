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

// noted is what the program has left in the peer's session.
type noted struct {
	sequence uint32
	state    uint8
	at       time.Duration
	replies  uint64
}

func session(t *testing.T, w *rig.World) (n noted) {
	t.Helper()
	s, err := w.Session(rig.Slot)
	check(t, err)
	n.sequence, n.state, n.at, n.replies = s.Reply()
	return n
}

// replyTo is the peer's reply to this host's probe of that sequence number.
func replyTo(f rig.Family, sequence uint32) sbfd {
	return sbfd{
		packet: frames.Packet{
			Dst: rig.SelfMAC(), Src: rig.PeerMAC(), TTL: 255,
			From: netip.AddrPortFrom(f.Peer, sbfdPort), To: netip.AddrPortFrom(f.Self, rig.ProbePort),
		},
		bfd: frames.BFD{
			Version: 1, State: up, Final: true, DetectMultiplier: 3, MyDiscriminator: 0x0a000002,
			YourDiscriminator: frames.Discriminator(sequence), DesiredMinTxInterval: 2000, RequiredMinRxInterval: 2000,
		},
	}
}

// replyRows: replies to this host's probes are noted and go no further.
func replyRows() (rows []row) {
	for _, f := range rig.Families() {
		good := replyTo(f, rig.Sent)
		// expect adds a row that notes something, or nothing.
		expect := func(name string, r row, want *noted) {
			var before noted
			var started time.Duration
			given := r.given
			r.name = "replies/" + f.Name + " " + name
			r.given = func(t *testing.T, w *rig.World) {
				t.Helper()
				if given != nil {
					given(t, w)
				}
				before, started = session(t, w), rig.Monotonic()
			}
			r.after = func(t *testing.T, w *rig.World) {
				t.Helper()
				now := session(t, w)
				if want == nil {
					if now != before {
						t.Errorf("noted %+v, was %+v", now, before)
					}
					return
				}
				if now.sequence != want.sequence || now.state != want.state || now.replies != before.replies+1 {
					t.Errorf("noted %+v, want %+v after %d", now, *want, before.replies)
				}
				if now.at < started || now.at > rig.Monotonic() {
					t.Errorf("noted at %v, ran from %v to %v", now.at, started, rig.Monotonic())
				}
			}
			rows = append(rows, r)
		}
		takes := func(name string, reply sbfd, want noted) {
			expect(name, row{frame: reply.frame(), want: rig.Drop, reason: loader.SBFDReply}, &want)
		}
		for state, name := range []string{"AdminDown", "Down", "Init", "Up"} {
			takes(name, good.with(func(s *sbfd) { s.bfd.State = frames.State(state) }), noted{sequence: rig.Sent, state: uint8(state)})
		}
		takes("to the probe before", replyTo(f, rig.Sent-1), noted{sequence: rig.Sent - 1, state: up})
		takes("to an older probe", replyTo(f, rig.Sent-255), noted{sequence: rig.Sent - 255, state: up})
		if f.Is4() {
			takes("without a checksum", good.with(func(s *sbfd) { s.packet.NoChecksum = true }), noted{sequence: rig.Sent, state: up})
		}
		wrapped := func(t *testing.T, w *rig.World) {
			s, err := w.Session(rig.Slot)
			check(t, err)
			s.SetSent(2)
		}
		expect("across the wrap", row{given: wrapped, frame: replyTo(f, 0xfffffffe).frame(), want: rig.Drop, reason: loader.SBFDReply}, &noted{sequence: 0xfffffffe, state: up})
		expect("while the lease is stale", row{given: stale, frame: good.frame(), want: rig.Drop, reason: loader.SBFDReply}, &noted{sequence: rig.Sent, state: up})

		refuses := func(name string, reason loader.Reason, change func(*sbfd)) {
			expect(name, row{frame: good.with(change).frame(), want: rig.Drop, reason: reason}, nil)
		}
		refuses("to a probe that was never sent", loader.SBFDReplyUnknown, func(s *sbfd) { s.bfd.YourDiscriminator = rig.Sent + 1 })
		refuses("to a probe of long ago", loader.SBFDReplyUnknown, func(s *sbfd) { s.bfd.YourDiscriminator = rig.Sent - 256 })
		refuses("to a group's address", loader.SBFDMalformed, func(s *sbfd) { s.packet.Dst = frames.Broadcast() })
		expect("UDP length beyond the IP length", row{frame: shortened(f, good.frame(), 31), want: rig.Drop, reason: loader.SBFDMalformed}, nil)
		refuses("D", loader.SBFDLoop, func(s *sbfd) { s.bfd.Demand = true })
		refuses("TTL 254", loader.SBFDTTL, func(s *sbfd) { s.packet.TTL = 254 })
		refuses("not from a peer", loader.SBFDSource, func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Stranger, sbfdPort) })
		refuses("version 2", loader.SBFDMalformed, func(s *sbfd) { s.bfd.Version = 2 })
		refuses("multiplier 0", loader.SBFDMalformed, func(s *sbfd) { s.bfd.DetectMultiplier = 0 })
		refuses("M", loader.SBFDMalformed, func(s *sbfd) { s.bfd.Multipoint = true })
		refuses("my discriminator 0", loader.SBFDMalformed, func(s *sbfd) { s.bfd.MyDiscriminator = 0 })
		refuses("length 23", loader.SBFDMalformed, func(s *sbfd) { s.at, s.patch = 3, []byte{23} })
		refuses("cut by a byte", loader.SBFDMalformed, func(s *sbfd) { s.cut = 1 })
		none := func(t *testing.T, w *rig.World) {
			s, err := w.Session(rig.Slot)
			check(t, err)
			s.SetSent(0)
		}
		expect("to no probe, before the first", row{given: none, frame: replyTo(f, 0).frame(), want: rig.Drop, reason: loader.SBFDReplyUnknown}, nil)

		passes := func(name string, r row) {
			r.want, r.reason = rig.Pass, loader.PassOther
			expect(name, r, nil)
		}
		passes("to another port", row{frame: good.with(func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Self, rig.ProbePort+1) }).frame()})
		passes("from another port", row{frame: good.with(func(s *sbfd) { s.packet.From = netip.AddrPortFrom(f.Peer, sbfdPort+1) }).frame()})
		passes("to somebody else", row{frame: good.with(func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Stranger, rig.ProbePort) }).frame()})
		passes("when this host sends no probes", row{
			given: func(_ *testing.T, w *rig.World) { w.SetProbe(0, time.Millisecond, 1) },
			frame: good.with(func(s *sbfd) { s.packet.To = netip.AddrPortFrom(f.Self, 0) }).frame(),
		})
	}
	return rows
}
