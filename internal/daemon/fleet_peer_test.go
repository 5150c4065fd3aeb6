package daemon

import (
	"net/netip"
	"testing"
	"time"

	"hafast/internal/liveness"
	"hafast/internal/peering"
	"hafast/internal/steering"
)

// heardOf is a peer that was heard with this state, and is probed with that result.
func heardOf(state peering.State, live liveness.State, silent bool) peer {
	p := peer{live: live, said: peering.Peer{Silent: silent}}
	if state != 0 {
		p.said.Heard = time.Unix(1, 0)
		p.said.Hello = peering.Hello{Boot: 1, State: state}
	}
	return p
}

func TestWhatAPeerIsGoodFor(t *testing.T) {
	const unheard = peering.State(0)
	tests := []struct {
		says    peering.State
		live    liveness.State
		silent  bool
		fit     steering.State
		present bool // may take over
		gone    bool // its host ceased to answer after it had said goodbye
	}{
		// Nothing is known of where it is and what it serves.
		{unheard, liveness.Unknown, true, steering.Down, false, false},
		{unheard, liveness.None, true, steering.Down, false, false},
		{unheard, liveness.Down, true, steering.Down, false, false},
		{unheard, liveness.AdminDown, true, steering.Down, false, false},
		{unheard, liveness.Up, true, steering.Down, true, false},

		{peering.Up, liveness.Up, false, steering.Up, true, false},
		{peering.Up, liveness.Up, true, steering.Up, true, false}, // hellos are lost, probes are answered
		{peering.Up, liveness.Unknown, false, steering.Up, true, false},
		{peering.Up, liveness.None, false, steering.Up, true, false},
		{peering.Up, liveness.Unknown, true, steering.Down, false, false},
		{peering.Up, liveness.None, true, steering.Down, false, false},
		{peering.Up, liveness.Down, false, steering.Down, false, false},
		{peering.Up, liveness.Down, true, steering.Down, false, false},
		{peering.Up, liveness.AdminDown, false, steering.Drain, false, false},
		{peering.Up, liveness.AdminDown, true, steering.Drain, false, false}, // its daemon is dead, its data path is not

		{peering.Drain, liveness.Up, false, steering.Drain, true, false}, // the probe's answer is the newer word
		{peering.Drain, liveness.AdminDown, false, steering.Drain, false, false},
		{peering.Drain, liveness.None, false, steering.Drain, true, false},
		{peering.Drain, liveness.None, true, steering.Drain, false, false},
		{peering.Drain, liveness.Down, false, steering.Down, false, false},

		{peering.Down, liveness.Up, false, steering.Down, true, false}, // without haproxy, but there
		{peering.Down, liveness.AdminDown, false, steering.Down, false, false},
		{peering.Down, liveness.Down, true, steering.Down, false, false},

		// It has said goodbye: its flows go on, and it takes over from nobody.
		{peering.Stopping, liveness.None, false, steering.Drain, false, false},
		{peering.Stopping, liveness.None, true, steering.Drain, false, false},
		{peering.Stopping, liveness.AdminDown, false, steering.Drain, false, false},
		{peering.Stopping, liveness.Down, true, steering.Drain, false, false},
		{peering.Stopping, liveness.Up, false, steering.Drain, false, false},
		{peering.Stopping, liveness.None, true, steering.Down, false, true},
	}
	for _, test := range tests {
		p := heardOf(test.says, test.live, test.silent)
		p.gone = test.gone
		if got := p.fit(); got != test.fit {
			t.Errorf("says %s, live %s, silent %t: good for %s, want %s", test.says, test.live, test.silent, got, test.fit)
		}
		if got := p.present(); got != test.present {
			t.Errorf("says %s, live %s, silent %t: present %t, want %t", test.says, test.live, test.silent, got, test.present)
		}
	}
}

func TestAlone(t *testing.T) {
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
	with := func(n byte, boot uint64, live liveness.State) *peer {
		p := heardOf(peering.Up, live, false)
		if boot == 0 {
			p = heardOf(0, live, true)
		}
		p.addr, p.said.Hello.Boot = addr(n), boot
		return &p
	}
	tests := []struct {
		name  string
		peers []*peer // the first is the one that is lost
		want  bool
	}{
		{"two hosts", []*peer{with(1, 1, liveness.Down)}, true},
		{"a third is up", []*peer{with(1, 1, liveness.Down), with(3, 3, liveness.Up)}, false},
		{"a third is left to adverts", []*peer{with(1, 1, liveness.Down), with(3, 3, liveness.None)}, false},
		{"a third is dead", []*peer{with(1, 1, liveness.Down), with(3, 3, liveness.Down)}, true},
		{"a third is out of service", []*peer{with(1, 1, liveness.Down), with(3, 3, liveness.AdminDown)}, true},
		{"the same host again", []*peer{with(1, 1, liveness.Down), with(9, 1, liveness.None)}, true},
		{"a third answers probes, but no hello has come of either", []*peer{with(1, 0, liveness.Down), with(3, 0, liveness.Up)}, false},
		{"a third answers probes, no hello of it", []*peer{with(1, 1, liveness.Down), with(3, 0, liveness.Up)}, false},
		{"a third was never there", []*peer{with(1, 1, liveness.Down), with(3, 0, liveness.None)}, true},
	}
	for _, test := range tests {
		f := fleet{peers: test.peers}
		if got := f.alone(test.peers[0]); got != test.want {
			t.Errorf("%s: alone %t, want %t", test.name, got, test.want)
		}
	}
}

// Peers that stay are known as before, also in another order.
func TestSetPeers(t *testing.T) {
	var list []netip.Addr
	for n := range byte(20) {
		list = append(list, netip.AddrFrom4([4]byte{10, 0, 0, n + 1}))
	}
	f := fleet{watchDeparted: func([]netip.Addr) {}}
	f.setPeers(list[:3])
	f.peer(list[1]).live = liveness.Up
	f.setPeers([]netip.Addr{list[3], list[1]})
	if len(f.peers) != 2 || f.peers[1].live != liveness.Up || f.peers[0].live != liveness.Unknown || f.peer(list[0]) != nil {
		t.Errorf("peers %v", f.peers)
	}
	if f.setPeers(list); len(f.peers) != maxPeers {
		t.Errorf("%d peers, there is room for %d", len(f.peers), maxPeers)
	}
}
