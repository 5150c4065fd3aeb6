// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// FuzzProgram runs frames that begin as those of the table, in worlds of all kinds.
// The kernel keeps the program from reading or writing where it must not; this holds
// it to what it promises about frames and counters.
func FuzzProgram(f *testing.F) {
	w := newWorld(f, small())
	seen := make(map[string]bool)
	for i, r := range table() {
		// Jumbo frames would be most of the corpus, and most mutations of them are in
		// what nobody reads.
		if len(r.frame) > 1514 || seen[string(r.frame)] {
			continue
		}
		seen[string(r.frame)] = true
		f.Add(r.frame, uint16(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, frame []byte, mood uint16, mend bool) {
		// Below and above the kernel has no test-runs.
		if len(frame) < ethernetSize || len(frame) > 9000 {
			t.Skip()
		}
		if mend {
			if mended := frames.Mend(frame); mended != nil {
				frame = mended
			}
		}
		check(t, w.Reset())
		upset(t, w, mood)
		before, err := w.Counters()
		check(t, err)
		verdict, out, err := w.Run(frame)
		check(t, err)
		after, err := w.Counters()
		check(t, err)
		judge(t, frame, out, verdict, rig.Moved(before, after))
		if told := newsOf(t, w); len(told) > 1 {
			t.Errorf("one packet has told %v\n in % x", told, frame)
		}
	})
}

// upset makes one of many worlds: each target's flags, the gates, the lease, service,
// and flows of the usual ports.
func upset(t *testing.T, w *rig.World, mood uint16) {
	t.Helper()
	bit := func(n int) bool { return mood>>n&1 == 1 }
	for i, place := range []int{rig.Far, rig.Self, rig.Peer} {
		var flags loader.TargetFlags
		if !bit(2 * i) {
			flags |= loader.TargetOld
		}
		if !bit(2*i + 1) {
			flags |= loader.TargetNew
		}
		if place == rig.Self {
			flags |= loader.TargetLocal
		}
		check(t, w.SetTargetFlags(place, flags))
	}
	w.SetServing(!bit(6))
	w.SetGate(rig.Gate, !bit(7))
	if bit(8) {
		w.RenewLease(0)
	}
	if bit(9) {
		return
	}
	var flows []loader.Flow
	for _, f := range rig.Families() {
		place := int(mood>>10) & 3
		for _, flow := range []loader.Flow{tcpFlow(f, rig.PortPeer, place), udpFlow(f, rig.PortPeer, place), tcpFlow(f, rig.PortFar, rig.Down)} {
			flow.Closing, flow.Replica = bit(12), bit(13)
			flows = append(flows, flow)
		}
	}
	check(t, w.PutFlows(flows))
}

// judge holds a run to what is always so.
func judge(t *testing.T, in, out []byte, verdict rig.Verdict, moved map[loader.Reason]uint64) {
	t.Helper()
	var why loader.Reason
	for r := range moved {
		why = r
	}
	fail := func(what string) {
		t.Helper()
		t.Errorf("%s: %v for %v\n in % x\nout % x", what, verdict, moved, in, out)
	}
	if len(moved) != 1 || moved[why] != 1 {
		fail("not counted once")
	}
	if !slices.Contains(verdicts(why), verdict) {
		fail("not a verdict for that reason")
	}
	if len(out) != len(in) {
		fail("another length")
		return
	}
	for i := range in {
		if in[i] != out[i] && !mayChange(in, why, i) {
			fail("a byte has changed that must not")
			break
		}
	}
	if verdict != rig.TX && verdict != rig.Redirect {
		return
	}
	if why != loader.SBFDReflected && !knownWay(verdict, out) {
		fail("sent to nobody")
	}
	if frames.Verify(in) == nil {
		if err := frames.Verify(out); err != nil {
			fail(err.Error())
		}
	}
}

// verdicts are what a reason may come with.
func verdicts(r loader.Reason) []rig.Verdict {
	switch {
	case r <= loader.PassARPActive:
		return []rig.Verdict{rig.Pass}
	case r <= loader.TXICMP, r == loader.LegForwarded:
		return []rig.Verdict{rig.TX, rig.Redirect}
	case r == loader.SBFDReflected:
		return []rig.Verdict{rig.TX}
	default:
		return []rig.Verdict{rig.Drop}
	}
}

// knownWay reports whether a frame goes from the right interface to a target there.
func knownWay(verdict rig.Verdict, out []byte) bool {
	for _, target := range rig.Targets() {
		if bytes.Equal(out[:6], target.MAC[:]) && bytes.Equal(out[6:12], target.Source[:]) &&
			target.Place != rig.Self && (verdict == rig.TX) == (target.Ifindex == rig.Lo) {
			return true
		}
	}
	return false
}

// mayChange reports whether the program may change a byte of a frame: hardware addresses
// of what it sends on; and of what it answers also addresses, ports, the checksum of
// UDP, and what a reflector says.
func mayChange(frame []byte, why loader.Reason, at int) bool {
	switch why {
	case loader.TXFlow, loader.TXNew, loader.TXSecondChance, loader.TXICMP, loader.LegForwarded:
		return at < 12
	case loader.SBFDReflected:
	default:
		return false
	}
	l3, typ := ethernetSize, etherType(frame, 12)
	for range 2 {
		if typ == layers.EthernetTypeDot1Q || typ == layers.EthernetTypeQinQ {
			typ = etherType(frame, l3+2)
			l3 += 4
		}
	}
	addresses, udp := l3+12, l3+20
	if typ == layers.EthernetTypeIPv6 {
		addresses, udp = l3+8, l3+40
	}
	switch bfd := udp + 8; {
	case at < 12, at >= addresses && at < udp, at >= udp && at < udp+4, at == udp+6, at == udp+7:
		return true
	case at == bfd, at == bfd+1, at >= bfd+4 && at < bfd+12, at >= bfd+16 && at < bfd+24:
		return true
	}
	return false
}

func etherType(frame []byte, at int) layers.EthernetType {
	return layers.EthernetType(binary.BigEndian.Uint16(frame[at:]))
}
