// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// TestHandshake: nothing is stored of a SYN, so its ACK is placed anew; it must come
// to the same haproxy, whatever the targets' state, and whatever flow of the same ports
// is left in the table. One case is otherwise: until the daemon has published a table
// without a peer that drains, what is unknown here counts as that peer's older flow.
func TestHandshake(t *testing.T) {
	w := newWorld(t, small())
	for _, f := range rig.Families() {
		for name, listening := range map[string]bool{"listening": true, "not listening": false} {
			t.Run(f.Name+" "+name, func(t *testing.T) {
				if listening {
					listen(t, w, netip.AddrPortFrom(f.VIP, rig.PortSpread))
				}
				for _, state := range states() {
					for _, left := range leftovers() {
						agree(t, w, f, state, left)
					}
				}
			})
		}
	}
}

// state is what may be done with each target.
type state map[int]loader.TargetFlags

// drains reports whether a frame has gone out to a peer that drains.
func (s state) drains(frame []byte) bool {
	peer, far := rig.PeerMAC(), rig.FarMAC()
	return bytes.HasPrefix(frame, peer[:]) && s[rig.Peer] == loader.TargetOld ||
		bytes.HasPrefix(frame, far[:]) && s[rig.Far] == loader.TargetOld
}

// states are all of Far, Self and Peer.
func states() (list []state) {
	flags := []loader.TargetFlags{0, loader.TargetOld, loader.TargetOld | loader.TargetNew}
	for _, far := range flags {
		for _, self := range flags {
			for _, peer := range flags {
				list = append(list, state{rig.Far: far, rig.Self: self | loader.TargetLocal, rig.Peer: peer})
			}
		}
	}
	return list
}

// leftover is a flow of the same addresses and ports; place < 0: none.
type leftover struct {
	place   int
	closing bool
}

func leftovers() []leftover {
	list := []leftover{{place: -1}}
	for _, place := range []int{rig.Far, rig.Self, rig.Peer} {
		list = append(list, leftover{place: place}, leftover{place: place, closing: true})
	}
	return list
}

// agree sends a SYN and an ACK from a few clients, whom the table gives to different
// targets. What this host has taken is not followed up: its socket would know it.
func agree(t *testing.T, w *rig.World, f rig.Family, s state, left leftover) {
	t.Helper()
	check(t, w.Reset())
	for _, place := range slices.Sorted(maps.Keys(s)) {
		check(t, w.SetTargetFlags(place, s[place]))
	}
	for port := uint16(20000); port < 20012; port++ {
		p := f.ToVIP(rig.PortSpread)
		p.From = netip.AddrPortFrom(f.Client, port)
		if left.place >= 0 {
			flow := tcpFlow(f, rig.PortSpread, left.place)
			flow.Client, flow.Closing = p.From, left.closing
			check(t, w.PutFlows([]loader.Flow{flow}))
		}
		first, given, why := once(t, w, p.TCP(frames.SYN))
		if first == rig.Pass && why[loader.PassLocalNew] == 0 {
			continue // nobody takes it
		}
		second, then, whyThen := once(t, w, p.TCP(frames.ACK))
		if first == rig.Pass && left.place < 0 {
			continue
		}
		if left.place < 0 && s.drains(then) {
			continue
		}
		if first != second || !bytes.Equal(given[:12], then[:12]) {
			t.Errorf("targets %v, left %+v, port %d: SYN %v to % x for %v, ACK %v to % x for %v",
				s, left, port, first, given[:6], why, second, then[:6], whyThen)
			return
		}
	}
}
