// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// floodSize is how many packets a flood has, each from another address and port: a
// multiple of the table's size. A million is bench xdp's business.
const floodSize = 1 << 16

// strangers gives a frame another source at each call, none of them twice in a flood.
// Checksums are wrong then, which is the receiver's business.
func strangers(f rig.Family) func([]byte) {
	n := uint32(0)
	at := ethernetSize + 12 // IPv4 source address
	if !f.Is4() {
		at = ethernetSize + 8 + 12 // the last word of the IPv6 one
	}
	return func(frame []byte) {
		n++
		binary.BigEndian.PutUint32(frame[at:], 0xc6120000+n>>4) // 198.18.0.0/15 and on
		binary.BigEndian.PutUint16(frame[l4At(f):], uint16(1024+n*40503))
	}
}

// TestSYNFlood: SYNs that nobody goes on with leave the table as it is.
func TestSYNFlood(t *testing.T) {
	w := newWorld(t, loader.Options{Flows: loader.MinFlows})
	for _, f := range rig.Families() {
		t.Run(f.Name, func(t *testing.T) {
			check(t, w.Reset())
			established := make([]loader.Flow, 0, 1000)
			for i := range cap(established) {
				flow := tcpFlow(f, rig.PortSpread, []int{rig.Self, rig.Peer, rig.Far}[i%3])
				flow.Client = netip.AddrPortFrom(f.Client, uint16(10000+i))
				established = append(established, flow)
			}
			check(t, w.PutFlows(established))
			before := flowsOf(t, w)
			if len(before) != len(established) {
				t.Fatalf("%d of %d flows are in the table before the flood", len(before), len(established))
			}
			verdicts, err := w.Flood(f.ToVIP(rig.PortSpread).TCP(frames.SYN), floodSize, strangers(f))
			check(t, err)
			if verdicts[rig.TX]+verdicts[rig.Redirect] != floodSize {
				t.Errorf("verdicts %v", verdicts)
			}
			if after := flowsOf(t, w); !slices.Equal(before, after) {
				t.Errorf("%d flows before the flood, %d or others after it", len(before), len(after))
			}
		})
	}
}

// TestACKFlood: random ACKs do fill the table, and push flows out of it. A connection
// of this host is then known by its socket, and one of the peer by the table for new
// flows.
func TestACKFlood(t *testing.T) {
	w := newWorld(t, loader.Options{Flows: loader.MinFlows})
	for _, f := range rig.Families() {
		t.Run(f.Name, func(t *testing.T) {
			check(t, w.Reset())
			const here = rig.PortFar // whose packets the table would send elsewhere
			connected(f, here)(t, w)
			steer := func(what string, frame []byte, want rig.Verdict, reasons ...loader.Reason) {
				t.Helper()
				verdict, _, moved := once(t, w, frame)
				known := uint64(0)
				for _, r := range reasons {
					known += moved[r]
				}
				if verdict != want || known != 1 {
					t.Errorf("%s: %v for %v", what, verdict, moved)
				}
			}
			local, remote := f.ToVIP(here).TCP(frames.ACK), f.ToVIP(rig.PortPeer).TCP(frames.ACK)
			steer("here, first ACK", local, rig.Pass, loader.PassLocalSocket)
			steer("there, first ACK", remote, rig.TX, loader.TXSecondChance)
			steer("here, known", local, rig.Pass, loader.PassLocalFlow)
			steer("there, known", remote, rig.TX, loader.TXFlow)
			_, err := w.Flood(f.ToVIP(rig.PortSpread).TCP(frames.ACK), floodSize, strangers(f))
			check(t, err)
			kept := len(flowsOf(t, w))
			if kept > loader.MinFlows {
				t.Errorf("%d flows in a table for %d", kept, loader.MinFlows)
			}
			steer("here, after the flood", local, rig.Pass, loader.PassLocalFlow, loader.PassLocalSocket)
			steer("there, after the flood", remote, rig.TX, loader.TXFlow, loader.TXSecondChance)
			t.Logf("%d ACKs have left %d flows in a table for %d", floodSize, kept, loader.MinFlows)
		})
	}
}
