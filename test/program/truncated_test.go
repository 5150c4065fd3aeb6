// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// TestTruncated cuts frames off behind every byte. What ends within its headers
// passes as it is, counted once; a probe or a reply that is too short is dropped.
func TestTruncated(t *testing.T) {
	w := newWorld(t, small())
	type cut struct {
		name  string
		frame []byte
		// headers is where what the program must have read ends: from there on the
		// verdict is that of the whole frame.
		headers int
		whole   rig.Verdict
	}
	var cuts []cut
	for _, f := range rig.Families() {
		l4 := l4At(f)
		sent := quote(f, f.FromVIP(rig.PortPeer).TCP(frames.ACK), 8)
		cuts = append(cuts,
			cut{f.Name + " TCP", f.ToVIP(rig.PortPeer).TCP(frames.ACK, 1, 2, 3), l4 + 20, rig.TX},
			cut{f.Name + " SYN", f.ToVIP(rig.PortPeer).TCP(frames.SYN), l4 + 20, rig.TX},
			cut{f.Name + " UDP", f.ToVIP(rig.PortPeer).UDP(1, 2, 3), l4 + 8, rig.TX},
			cut{f.Name + " ICMP error", icmpErrors(f)[0].about(f, sent), l4 + 8 + len(sent) - 4, rig.TX},
			cut{f.Name + " stranger", f.FromVIP(rig.PortPeer).TCP(frames.ACK), l4 + 20, rig.Pass},
		)
		tagged := f.ToVIP(rig.PortPeer)
		tagged.Tags = []frames.Tag{{Type: 0x8100, ID: 0x6000}} // a priority
		cuts = append(cuts, cut{f.Name + " tagged TCP", tagged.TCP(frames.ACK), l4 + 4 + 20, rig.TX})
	}
	ask := frames.Packet{Dst: frames.Broadcast(), Src: rig.RouterMAC()}
	request := ask.ARP(arpRequest, rig.IPv4().Stranger, rig.IPv4().VIP2)
	cuts = append(cuts, cut{"ARP", request, len(request), rig.Drop})
	v6 := rig.IPv6()
	solicit := v6.ToVIP(0).Solicit(v6.VIP2)
	cuts = append(cuts, cut{"NS", solicit, tcp6At + 24, rig.Drop})

	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			check(t, w.Reset())
			for n := ethernetSize; n <= len(c.frame); n++ {
				verdict, out, moved := once(t, w, c.frame[:n])
				if n >= c.headers {
					if verdict != c.whole {
						t.Errorf("%d of %d bytes: %v for %v, want %v", n, len(c.frame), verdict, moved, c.whole)
					}
					continue
				}
				if verdict != rig.Pass || !bytes.Equal(out, c.frame[:n]) {
					t.Errorf("%d of %d bytes: %v for %v, frame out % x", n, len(c.frame), verdict, moved, out)
				}
				if moved[loader.PassTruncated]+moved[loader.PassOther] != 1 || len(moved) != 1 {
					t.Errorf("%d of %d bytes: counted %v", n, len(c.frame), moved)
				}
			}
			if got := flowsOf(t, w); len(got) > 1 {
				t.Errorf("flows afterwards: %v", got)
			}
		})
	}
	for _, f := range rig.Families() {
		for name, s := range map[string]sbfd{"probe": probeOf(f), "reply": replyTo(f, rig.Sent)} {
			t.Run(f.Name+" "+name, func(t *testing.T) {
				check(t, w.Reset())
				frame := s.frame()
				for n := ethernetSize; n < len(frame); n++ {
					verdict, out, moved := once(t, w, frame[:n])
					want := rig.Pass
					if n >= l4At(f)+8 {
						want = rig.Drop
					}
					if verdict != want || want == rig.Drop && moved[loader.SBFDMalformed] != 1 || len(moved) != 1 {
						t.Errorf("%d of %d bytes: %v for %v", n, len(frame), verdict, moved)
					}
					if !bytes.Equal(out, frame[:n]) {
						t.Errorf("%d of %d bytes: frame out % x", n, len(frame), out)
					}
				}
			})
		}
	}
}

// once runs a frame and tells what was counted.
func once(t *testing.T, w *rig.World, frame []byte) (rig.Verdict, []byte, map[loader.Reason]uint64) {
	t.Helper()
	before, err := w.Counters()
	check(t, err)
	verdict, out, err := w.Run(frame)
	check(t, err)
	after, err := w.Counters()
	check(t, err)
	return verdict, out, rig.Moved(before, after)
}
