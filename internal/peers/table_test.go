// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"testing"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/membership"
)

func host(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

func TestAlone(t *testing.T) {
	with := func(n byte, boot uint64, session bfd.State) *Peer {
		p := &Peer{Addr: host(n), Session: session, Said: membership.Peer{Silent: boot == 0}}
		if boot != 0 {
			p.Said.Heard = time.Unix(1, 0)
			p.Said.Hello = membership.Hello{Boot: boot, State: membership.Up}
		}
		return p
	}
	tests := []struct {
		name  string
		peers []*Peer // the first is the one that is lost
		want  bool
	}{
		{"two hosts", []*Peer{with(1, 1, bfd.Down)}, true},
		{"a third is up", []*Peer{with(1, 1, bfd.Down), with(3, 3, bfd.Up)}, false},
		{"a third is left to adverts", []*Peer{with(1, 1, bfd.Down), with(3, 3, bfd.Unmonitored)}, false},
		{"a third is dead", []*Peer{with(1, 1, bfd.Down), with(3, 3, bfd.Down)}, true},
		{"a third is out of service", []*Peer{with(1, 1, bfd.Down), with(3, 3, bfd.AdminDown)}, true},
		{"the same host again", []*Peer{with(1, 1, bfd.Down), with(9, 1, bfd.Unmonitored)}, true},
		{"a third answers probes, but no hello has come of either", []*Peer{with(1, 0, bfd.Down), with(3, 0, bfd.Up)}, false},
		{"a third answers probes, no hello of it", []*Peer{with(1, 1, bfd.Down), with(3, 0, bfd.Up)}, false},
		{"a third was never there", []*Peer{with(1, 1, bfd.Down), with(3, 0, bfd.Unmonitored)}, true},
	}
	for _, test := range tests {
		table := Table{peers: test.peers}
		if got := table.Alone(test.peers[0]); got != test.want {
			t.Errorf("%s: alone %t, want %t", test.name, got, test.want)
		}
	}
}

// Peers that stay are known as before, also in another order.
func TestSet(t *testing.T) {
	var table Table
	table.Set([]netip.Addr{host(1), host(2), host(3)})
	table.Peer(host(2)).Session = bfd.Up
	table.Set([]netip.Addr{host(4), host(2)})
	all := table.All()
	if len(all) != 2 || all[1].Session != bfd.Up || all[0].Session != bfd.Unknown || table.Peer(host(1)) != nil {
		t.Errorf("peers %v", all)
	}
}
