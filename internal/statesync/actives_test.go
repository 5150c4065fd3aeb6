// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"hafast/internal/link/nstest"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// TestEndsBetweenActives: two hosts are Active, each for a VIP of its own. A connection of
// one comes to its end, which the other has no reason to keep: no packet of it ever went by
// there. Nor may its replica bring the closed connection back to life where it was.
func TestEndsBetweenActives(t *testing.T) {
	nstest.Enter(t)
	table, err := openEntryTable(EntryOptions{Filter: nfct.DefaultFilter()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer table.close()
	peer := netip.MustParseAddr("10.9.0.2")
	entry := record.Entry{
		Key: record.EntryKey{Tuple: record.Tuple{
			Src: record.AddressOf(netip.MustParseAddr("10.1.0.2")), Dst: record.AddressOf(netip.MustParseAddr("10.2.0.2")),
			SrcPort: 40000, DstPort: 80, Proto: 6,
		}},
		Status: 0xe, Timeout: 432000 * time.Second, TCP: record.TCP{State: nfct.TCPEstablished},
	}
	k := entry.Key.Tuple
	entry.Reply = record.Tuple{Src: k.Dst, Dst: k.Src, SrcPort: k.DstPort, DstPort: k.SrcPort, Proto: 6}
	tell := func(op wire.Op) conntrack.Outcome {
		changes := []conntrack.Change[record.Entry]{{Op: op, Record: entry, Own: true}}
		table.Apply(peer, changes)
		return changes[0].Outcome
	}
	if got := tell(wire.Set); got != conntrack.Added {
		t.Fatalf("outcome %d of a new replica", got)
	}
	if got := tell(wire.Delete); got != conntrack.Removed {
		t.Errorf("outcome %d of the end of a replica that saw no packet here, not Removed", got)
	}
	// Here the connection is closed; the other host still has the replica, and walks.
	closed := entry
	closed.TCP.State, closed.Timeout = nfct.TCPTimeWait, 120*time.Second
	if _, err := table.table.Apply([]nfct.Op{{Action: nfct.Delete, Entry: closed}, {Entry: closed}}); err != nil {
		t.Fatal(err)
	}
	tell(wire.Audit)
	err = table.table.Get([]record.EntryKey{entry.Key}, func(_ int, e *record.Entry) {
		if e.TCP.State != nfct.TCPTimeWait {
			t.Errorf("a closed connection is in state %d again, with %v to live", e.TCP.State, e.Timeout)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSweepOfOnePeer: of three hosts two are Active. The walk of one that has just started
// has nothing of the other's connections, and the third one must not drop them for it.
func TestSweepOfOnePeer(t *testing.T) {
	nstest.Enter(t)
	table, err := openEntryTable(EntryOptions{Filter: nfct.DefaultFilter()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer table.close()
	a, b := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	entry := record.Entry{
		Key: record.EntryKey{Tuple: record.Tuple{
			Src: record.AddressOf(netip.MustParseAddr("10.1.0.2")), Dst: record.AddressOf(netip.MustParseAddr("10.2.0.2")),
			SrcPort: 40000, DstPort: 80, Proto: 6,
		}},
		Status: 0xe, Timeout: 432000 * time.Second, TCP: record.TCP{State: nfct.TCPEstablished},
	}
	k := entry.Key.Tuple
	entry.Reply = record.Tuple{Src: k.Dst, Dst: k.Src, SrcPort: k.DstPort, DstPort: k.SrcPort, Proto: 6}
	table.Begin(b)
	table.Apply(b, []conntrack.Change[record.Entry]{{Op: wire.Set, Record: entry}})
	table.Begin(a)
	sweep := table.Sweep(a)
	defer sweep.Close()
	if dropped, err := sweep.Next(nil, 1024); dropped != 0 {
		t.Errorf("the walk of a has dropped %d entries of b; %v", dropped, err)
	}
}
