// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
)

// TestAsk asks a host while it answers, while it does not, though the wire is
// there, and when it does again.
func TestAsk(t *testing.T) {
	peer := newWire(t)
	index := nstest.Link(t, "eth0").Attrs().Index
	// Instead of a second, so that the kernel gives up soon.
	const retransmit = 50 * time.Millisecond
	for _, family := range []string{"ipv4", "ipv6"} {
		path := fmt.Sprintf("/proc/sys/net/%s/neigh/eth0/retrans_time_ms", family)
		if err := os.WriteFile(path, fmt.Append(nil, retransmit.Milliseconds()), 0); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(addr netip.Addr) Answer {
		t.Helper()
		answer, err := Ask(index, addr)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	// No subtests: each would be a goroutine in another namespace.
	for _, tt := range []struct {
		addr netip.Addr
		cidr string
	}{{there4, there4.String() + "/24"}, {there6, there6.String() + "/64"}} {
		there := func() bool { return ask(tt.addr) == Reachable }
		eventually.True(t, tt.cidr+" is reachable", there)
		eventually.True(t, tt.cidr+" answers the next question too", there)
		peer.Do(func() { nstest.Remove(t, "peer0", tt.cidr) })
		eventually.True(t, tt.cidr+" does not answer", func() bool { return !there() })
		// Through several rounds of the kernel's, each of three questions.
		for range 20 {
			time.Sleep(retransmit / 2)
			if got := ask(tt.addr); got != Unanswered {
				t.Errorf("%s is gone, and has answer %d", tt.cidr, got)
			}
		}
		peer.Do(func() { nstest.Add(t, "peer0", tt.cidr) })
		eventually.True(t, tt.cidr+" is reachable again", there)
	}

	// What an administrator has fixed stays so.
	fixed := netip.MustParseAddr("10.9.0.3")
	entry := &netlink.Neigh{
		LinkIndex: index, State: netlink.NUD_PERMANENT, IP: fixed.AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3},
	}
	if err := netlink.NeighSet(entry); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := ask(fixed); got != NoAnswerDue {
			t.Errorf("a fixed entry has answer %d", got)
		}
	}
	if answer, err := Ask(12345, there4); err == nil || answer != NoAnswerDue {
		t.Errorf("behind an interface that there is not: answer %d, error %v", answer, err)
	}
}

var (
	there4 = netip.MustParseAddr("10.9.0.2")
	there6 = netip.MustParseAddr("fd09::2")
)

// newWire enters a namespace whose eth0 leads to the namespace of a peer.
func newWire(t *testing.T) *nstest.Peer {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	peer := nstest.NewPeer(t, "peer0")
	nstest.Add(t, "eth0", "10.9.0.1/24")
	nstest.Add(t, "eth0", "fd09::1/64")
	peer.Do(func() {
		nstest.Add(t, "peer0", there4.String()+"/24")
		nstest.Add(t, "peer0", there6.String()+"/64")
	})
	nstest.Operational(t, "eth0")
	return peer
}
