// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"slices"
	"testing"

	"hafast/pkg/loader"
	"hafast/test/program/frames"
	"hafast/test/program/rig"
)

// What every row must come with: the news of what has become of its flows, and the
// credit for its packet.

// newsOf reads the flow events.
func newsOf(t *testing.T, w *rig.World) []loader.FlowEvent {
	t.Helper()
	list, lost, err := w.News()
	check(t, err)
	if lost != 0 {
		t.Errorf("%d flow events are lost", lost)
	}
	return list
}

// news is what a packet that has changed the table must have told, in the table's order.
func news(before, after []loader.Flow) (list []loader.FlowEvent) {
	for _, f := range after {
		i := slices.IndexFunc(before, func(b loader.Flow) bool {
			return b.Proto == f.Proto && b.Client == f.Client && b.VIP == f.VIP
		})
		switch {
		case i < 0:
			list = append(list, loader.FlowEvent{Kind: loader.FlowCreated, Flow: f})
		case f.Place != before[i].Place || before[i].Closing && !f.Closing:
			list = append(list, loader.FlowEvent{Kind: loader.FlowMoved, Flow: f})
		case f.Closing && !before[i].Closing:
			list = append(list, loader.FlowEvent{Kind: loader.FlowClosing, Flow: f})
		}
	}
	return list
}

// share is a service's traffic to one place.
type share struct {
	service, place int
	class          loader.TrafficClass
}

type amount struct{ packets, bytes uint64 }

func trafficOf(t *testing.T, w *rig.World) map[share]amount {
	t.Helper()
	list, err := w.Traffic()
	check(t, err)
	all := make(map[share]amount)
	for _, s := range list {
		all[share{s.Service, s.Place, s.Class}] = amount{s.Packets, s.Bytes}
	}
	return all
}

// grown is by how much each has grown.
func grown(before, after map[share]amount) map[share]amount {
	more := make(map[share]amount)
	for s, n := range after {
		if b := before[s]; n != b {
			more[s] = amount{n.packets - b.packets, n.bytes - b.bytes}
		}
	}
	return more
}

// judgeCredit holds one packet's credit to the reason why it went where it went.
func judgeCredit(t *testing.T, got map[share]amount, why loader.Reason, out []byte) {
	t.Helper()
	classes, place := []loader.TrafficClass{}, 0
	switch why {
	case loader.PassLocalFlow, loader.PassLocalNew, loader.PassLocalSocket:
		classes, place = append(classes, loader.TrafficLocal), rig.Self
	case loader.TXFlow, loader.TXNew, loader.TXSecondChance, loader.TXICMP:
		classes, place = append(classes, loader.TrafficPeer), placeOf(out)
	case loader.PassNoTarget, loader.PassDeadTarget:
		classes = append(classes, loader.TrafficNobody)
	case loader.PassICMPLocal:
		classes, place = append(classes, loader.TrafficLocal, loader.TrafficNobody), rig.Self
	}
	if len(classes) == 0 && len(got) == 0 {
		return
	}
	for s, n := range got {
		if s.class == loader.TrafficNobody {
			place = 0
		}
		if len(got) == 1 && slices.Contains(classes, s.class) && s.place == place && n == (amount{1, uint64(len(out))}) {
			return
		}
	}
	t.Errorf("credited is %v for %v, a frame of %d bytes", got, why, len(out))
}

// placeOf is the target that a frame has been sent to.
func placeOf(out []byte) int {
	for place, mac := range map[int]frames.MAC{rig.Peer: rig.PeerMAC(), rig.Far: rig.FarMAC(), rig.Down: rig.DownMAC()} {
		if bytes.HasPrefix(out, mac[:]) {
			return place
		}
	}
	return -1
}
