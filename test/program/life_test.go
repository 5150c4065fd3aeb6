// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// step is a packet of a flow, and what is told of it.
type step struct {
	what  string
	given given // before the packet
	frame []byte
	told  []loader.EventKind
}

// TestLives follows flows from their first packet to their last.
func TestLives(t *testing.T) { lives(t, newWorld(t, small())) }

func lives(t *testing.T, w *rig.World) {
	created, closed, moved := []loader.EventKind{loader.FlowCreated}, []loader.EventKind{loader.FlowClosing}, []loader.EventKind{loader.FlowMoved}
	for _, f := range rig.Families() {
		tcp := func(flags frames.Flags) []byte { return f.ToVIP(rig.PortPeer).TCP(flags) }
		udp := f.ToVIP(rig.PortPeer).UDP(1, 2, 3)
		for name, steps := range map[string][]step{
			"TCP": {
				{what: "SYN", frame: tcp(frames.SYN)},
				{what: "SYN again", frame: tcp(frames.SYN)},
				{what: "first ACK", frame: tcp(frames.ACK), told: created},
				{what: "second ACK", frame: tcp(frames.ACK)},
				{what: "data", frame: f.ToVIP(rig.PortPeer).TCP(frames.ACK|frames.PSH, 1, 2, 3)},
				{what: "SYN in between", frame: tcp(frames.SYN)},
				{what: "FIN", frame: tcp(frames.FIN | frames.ACK), told: closed},
				{what: "FIN again", frame: tcp(frames.FIN | frames.ACK)},
				{what: "last ACK", frame: tcp(frames.ACK)},
				{what: "RST", frame: tcp(frames.RST)},
				{what: "SYN of the next connection", frame: tcp(frames.SYN), told: moved},
				{what: "its ACK", frame: tcp(frames.ACK)},
				{what: "SYN when the target has died", given: dies(rig.Peer), frame: tcp(frames.SYN), told: moved},
				{what: "the ACK there", frame: tcp(frames.ACK)},
				{what: "RST", frame: tcp(frames.RST), told: closed},
			},
			"TCP with a socket here": {
				{what: "first ACK", given: connected(f, rig.PortPeer), frame: tcp(frames.ACK), told: created},
				{what: "second ACK", frame: tcp(frames.ACK)},
				{what: "FIN", frame: tcp(frames.FIN | frames.ACK), told: closed},
			},
			"FIN of an unknown flow": {
				{what: "FIN", frame: tcp(frames.FIN | frames.ACK)},
				{what: "RST", frame: tcp(frames.RST)},
			},
			"UDP": {
				{what: "first datagram", frame: udp, told: created},
				{what: "second", frame: udp},
				{what: "when the target has died", given: dies(rig.Peer), frame: udp, told: moved},
				{what: "the next one", frame: udp},
			},
			"a replica": {
				{what: "SYN", given: replicated(tcpFlow(f, rig.PortPeer, rig.Far)), frame: tcp(frames.SYN)},
				{what: "ACK", frame: tcp(frames.ACK)},
				{what: "FIN", frame: tcp(frames.FIN | frames.ACK), told: closed},
				{what: "told again, and SYN", given: replicated(tcpFlow(f, rig.PortPeer, rig.Down)), frame: tcp(frames.SYN), told: moved},
			},
			"nobody listens": {
				{what: "first ACK", given: deaf, frame: tcp(frames.ACK)},
				{what: "FIN", frame: tcp(frames.FIN | frames.ACK)},
			},
		} {
			t.Run(f.Name+" "+name, func(t *testing.T) {
				check(t, w.Reset())
				for _, s := range steps {
					if s.given != nil {
						s.given(t, w)
					}
					_, _, err := w.Run(s.frame)
					check(t, err)
					var got []loader.EventKind
					for _, e := range newsOf(t, w) {
						got = append(got, e.Kind)
						if flows := flowsOf(t, w); !slices.Contains(flows, e.Flow) {
							t.Errorf("%s: told of %+v, but the table has %+v", s.what, e.Flow, flows)
						}
					}
					if !slices.Equal(got, s.told) {
						t.Errorf("%s: told %v, want %v", s.what, got, s.told)
					}
				}
			})
		}
	}
}

// replicated: a peer has told these flows.
func replicated(flows ...loader.Flow) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		for _, f := range flows {
			check(t, w.ApplyReplicas([]loader.Replica{{Flow: f}}))
		}
	}
}

// deaf: the daemon does not listen.
func deaf(_ *testing.T, w *rig.World) { w.ListenFlows(false) }

// TestFullRing: what a flood of new flows leaves no room for is counted, and its packets
// go their way.
func TestFullRing(t *testing.T) {
	opts := small()
	opts.EventBytes = os.Getpagesize()
	w := newWorld(t, opts)
	for _, f := range rig.Families() {
		const packets = 1000
		check(t, w.Reset())
		verdicts, err := w.Flood(f.ToVIP(rig.PortPeer).TCP(frames.ACK), packets, strangers(f))
		check(t, err)
		told, lost, err := w.News()
		check(t, err)
		if verdicts[rig.TX] != packets || lost == 0 || len(told)+int(lost) != packets {
			t.Errorf("%s: verdicts %v, %d told and %d lost of %d", f.Name, verdicts, len(told), lost, packets)
		}
		if flows := flowsOf(t, w); len(flows) != packets {
			t.Errorf("%s: %d flows of %d", f.Name, len(flows), packets)
		}
	}
}

// TestCredits: a service's traffic is told apart from another's, by number.
func TestCredits(t *testing.T) { credits(t, newWorld(t, small())) }

func credits(t *testing.T, w *rig.World) {
	for _, f := range rig.Families() {
		t.Run(f.Name+" credits", func(t *testing.T) {
			check(t, w.Reset())
			before := trafficOf(t, w)
			want := make(map[share]amount)
			send := func(s share, frame []byte) {
				t.Helper()
				_, _, err := w.Run(frame)
				check(t, err)
				n := want[s]
				want[s] = amount{n.packets + 1, n.bytes + uint64(len(frame))}
			}
			peer := share{int(rig.ServiceID(rig.PortPeer)), rig.Peer, loader.TrafficPeer}
			far := share{int(rig.ServiceID(rig.PortFar)), rig.Far, loader.TrafficPeer}
			nobody := share{int(rig.ServiceID(rig.PortStays)), 0, loader.TrafficNobody}
			for _, flags := range []frames.Flags{frames.SYN, frames.ACK, frames.ACK, frames.FIN | frames.ACK} {
				send(peer, f.ToVIP(rig.PortPeer).TCP(flags, 1, 2, 3))
			}
			send(far, f.ToVIP(rig.PortFar).UDP(make([]byte, 900)...))
			send(far, f.ToVIP(rig.PortFar).UDP(make([]byte, 1200)...))
			send(nobody, f.ToVIP(rig.PortStays).UDP(1))
			other := f.ToVIP(rig.PortPeer)
			other.To = netip.AddrPortFrom(f.Stranger, rig.PortPeer)
			_, _, err := w.Run(other.TCP(frames.ACK))
			check(t, err)
			got := grown(before, trafficOf(t, w))
			if len(got) != len(want) {
				t.Errorf("credited are %v, want %v", got, want)
			}
			for s, n := range want {
				if got[s] != n {
					t.Errorf("%+v is credited %v, want %v", s, got[s], n)
				}
			}
		})
	}
}
