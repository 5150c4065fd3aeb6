// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"net/netip"
	"testing"

	"hafast/internal/nlmsg"
	"hafast/test/netns/lab"
)

func TestMadeUpConnectionsDiffer(t *testing.T) {
	seen := make(map[flow]int)
	for i := range 200_000 {
		f := madeUp(i)
		if other, twice := seen[f]; twice {
			t.Fatalf("%d and %d are both %v", other, i, f)
		}
		seen[f] = i
		if !netip.MustParsePrefix("198.18.0.0/15").Contains(f.to.Addr()) || f.from.Port() < 1024 {
			t.Fatalf("%d is %v", i, f)
		}
	}
}

func TestTCPState(t *testing.T) {
	var b nlmsg.Builder
	b.Uint32BE(attrStatus, statusAssured)
	info := b.Nest(attrProtoInfo)
	tcp := b.Nest(attrProtoInfoTCP)
	b.Uint8(attrTCPState, tcpEstablished)
	b.EndNest(tcp)
	b.EndNest(info)
	if got := tcpState(b.Bytes()); got != tcpEstablished {
		t.Errorf("state %d", got)
	}
	b.Reset()
	b.Uint32BE(attrStatus, statusAssured)
	if got := tcpState(b.Bytes()); got != 0 {
		t.Errorf("state %d of a connection without one", got)
	}
}

// TestTable makes connections in a router's table, finds them there and removes them.
func TestTable(t *testing.T) {
	routers := lab.RoutersForTest(t)
	router, _ := routers.Pair()
	table, err := openTable(router)
	if err != nil {
		t.Fatal(err)
	}
	defer table.close()
	count := func(want int) {
		t.Helper()
		// The hosts speak to each other a little, for IPv6's sake.
		if got, err := router.ConntrackCount(); err != nil || got < want || got > want+20 {
			t.Fatalf("%d connections, %v; want %d", got, err, want)
		}
	}
	const n = 2000
	if err := table.fill(t.Context(), n, lab.NATAddress.Addr()); err != nil {
		t.Fatal(err)
	}
	count(n)
	for _, tt := range []struct {
		i    int
		want bool
	}{{0, true}, {n - 1, true}, {n, false}} {
		if got, err := table.established(madeUp(tt.i)); err != nil || got != tt.want {
			t.Errorf("connection %d: %v, %v", tt.i, got, err)
		}
	}
	if err := table.fill(t.Context(), 1, netip.MustParseAddr("::1")); err == nil {
		t.Error("a connection that cannot be was made")
	}
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	count(0)
}
