// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link/nstest"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// tracker is a host's engine and its connection tracking, driven by hand: a Channel's
// goroutines would be in another namespace, and walk over another table.
type tracker struct {
	t      *testing.T
	do     func(func()) // in its namespace
	addr   netip.Addr
	engine *conntrack.Engine
	table  *entryTable
	// network makes and ends connections: what it does is none of the engine's doing.
	network *nfct.Table
	inbox   [][]byte
}

// trackers are two of them, in namespaces of their own.
type trackers struct{ a, b *tracker }

// newTrackers has each be Active for a VIP or, if that is not valid, for none. Events
// that may wait to be read are so many bytes.
func newTrackers(t *testing.T, vipOfA, vipOfB netip.Addr, events int) *trackers {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "hfsyn0", "hfsyn1")
	peer := nstest.NewPeer(t, "hfsyn1")
	p := &trackers{
		a: newTracker(t, here, addr("10.9.0.1"), addr("10.9.0.2"), vipOfA, events),
		b: newTracker(t, peer.Do, addr("10.9.0.2"), addr("10.9.0.1"), vipOfB, events),
	}
	p.until(t, "both are in sync", p.settled)
	return p
}

func newTracker(t *testing.T, do func(func()), own, peer, vip netip.Addr, events int) *tracker {
	t.Helper()
	k := &tracker{t: t, do: do, addr: own}
	boots++
	k.in(func() (err error) {
		o := EntryOptions{Filter: nfct.DefaultFilter()}
		// The event of a connection that is made all at once says that it is new.
		o.Filter.Unassured = true
		if k.table, err = openEntryTable(o, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		if err := k.table.events.Close(); err != nil {
			return err
		}
		if k.table.events, err = nfct.Subscribe(k.table.table, nfct.Options{Filter: o.Filter, Buffer: events}); err != nil {
			return err
		}
		if k.network, err = nfct.Open(); err != nil {
			return err
		}
		keys, err := wire.NewKeyring(key(1))
		if err != nil {
			return err
		}
		k.engine, err = conntrack.New(time.Now(), conntrack.Options{Boot: boots, Keys: keys, Entries: k.table})
		return err
	})
	t.Cleanup(func() {
		k.engine.SetPeers(time.Now(), nil) // ends its walks
		k.network.Close()
		if err := k.table.close(); err != nil {
			t.Error(err)
		}
	})
	k.engine.SetPeers(time.Now(), []conntrack.Peer{{Addr: peer}})
	if vip.IsValid() {
		if err := k.engine.SetScope(time.Now(), []record.Address{record.AddressOf(vip)}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// in calls f in the tracker's namespace.
func (k *tracker) in(f func() error) {
	k.t.Helper()
	var err error
	k.do(func() { err = f() })
	if err != nil {
		k.t.Fatalf("%v: %v", k.addr, err)
	}
}

// exchange has both take in what there is, and send what is due.
func (p *trackers) exchange() {
	for _, way := range [][2]*tracker{{p.a, p.b}, {p.b, p.a}} {
		k, other := way[0], way[1]
		inbox := k.inbox
		k.inbox = nil
		k.do(func() {
			for _, datagram := range inbox {
				// The engine counts what it rejects.
				_, _ = k.engine.Receive(time.Now(), other.addr, 255, datagram)
			}
			k.table.gather(k.engine)
			k.engine.Step(time.Now(), func(_ netip.Addr, datagram []byte) {
				other.inbox = append(other.inbox, slices.Clone(datagram))
			})
		})
	}
}

// until exchanges until something is so.
func (p *trackers) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	eventually.True(t, what, func() bool {
		for range 100 {
			p.exchange()
		}
		return so()
	})
}

// settled: both have told each other everything.
func (p *trackers) settled() bool {
	for _, k := range []*tracker{p.a, p.b} {
		if st := k.status(); st.State != conntrack.InSync || !st.Covered || st.Backlog > 0 {
			return false
		}
	}
	return true
}

func (k *tracker) status() conntrack.PeerStatus { return k.engine.Status(time.Now()).Peers[0] }

// connection is the ith established TCP connection of a network.
func connection(network byte, i int) record.Entry {
	tuple := record.Tuple{
		Src: record.AddressOf(netip.AddrFrom4([4]byte{192, 0, 2, network})), Dst: record.AddressOf(addr("198.51.100.1")),
		SrcPort: uint16(i), DstPort: uint16(80 + i>>16), Proto: unix.IPPROTO_TCP,
	}
	return record.Entry{
		Key:   record.EntryKey{Tuple: tuple},
		Reply: record.Tuple{Src: tuple.Dst, Dst: tuple.Src, SrcPort: tuple.DstPort, DstPort: tuple.SrcPort, Proto: tuple.Proto},
		// CONFIRMED, ASSURED, SEEN_REPLY (linux/netfilter/nf_conntrack_common.h)
		Status: 1<<3 | 1<<2 | 1<<1, Timeout: time.Hour, TCP: record.TCP{State: nfct.TCPEstablished},
	}
}

// change has the network make or end connections.
func (k *tracker) change(action nfct.Action, network byte, from, n int) {
	k.t.Helper()
	ops := make([]nfct.Op, n)
	for i := range ops {
		ops[i] = nfct.Op{Action: action, Entry: connection(network, from+i)}
	}
	tally, err := k.network.Apply(ops)
	if err != nil || tally.Counts[nfct.Done] != n {
		k.t.Fatalf("%d of %d done, %v", tally.Counts[nfct.Done], n, err)
	}
}

// has are the connections in the kernel's table.
func (k *tracker) has() int {
	k.t.Helper()
	entries, _, err := k.network.Usage()
	if err != nil {
		k.t.Fatal(err)
	}
	return entries
}

// TestNoEcho: of two hosts that are both Active each tells its own connections, and none
// that it was told: what a replica causes in the kernel comes back from there as an event.
func TestNoEcho(t *testing.T) {
	p := newTrackers(t, addr("10.8.0.1"), addr("10.8.0.2"), 1<<20)
	const n, ended = 300, 100
	p.a.change(nfct.Set, 1, 0, n)
	p.b.change(nfct.Set, 2, 0, n)
	p.until(t, "all connections are at both hosts", func() bool { return p.a.has() == 2*n && p.b.has() == 2*n })
	p.a.change(nfct.Delete, 1, 0, ended)
	p.b.change(nfct.Delete, 2, 0, ended)
	news := func(k *tracker) uint64 { return k.status().Entries.Told.News }
	p.until(t, "all is told", func() bool { return news(p.a) >= n+ended && news(p.b) >= n+ended && p.settled() })
	// Echoes would go to and fro without end.
	heard := p.a.status().Received.Datagrams
	p.until(t, "they have greeted each other since", func() bool { return p.a.status().Received.Datagrams > heard+2 })
	for _, k := range []*tracker{p.a, p.b} {
		if got := news(k); got != n+ended {
			t.Errorf("%v has told %d changes, want %d: of its own connections", k.addr, got, n+ended)
		}
		if got := k.has(); got != 2*(n-ended) {
			t.Errorf("%v has %d connections, want %d", k.addr, got, 2*(n-ended))
		}
	}
}

// TestEndsElsewhere: a host that has had a packet of a connection since it was told of it
// takes no other host's word for its end.
func TestEndsElsewhere(t *testing.T) {
	p := newTrackers(t, addr("10.8.0.1"), addr("10.8.0.2"), 1<<20)
	p.a.change(nfct.Set, 1, 0, 2)
	p.until(t, "all connections are at both hosts", func() bool { return p.b.has() == 2 && p.settled() })
	moved := connection(1, 0)
	moved.Timeout *= 2 // a packet has an effect like this
	if tally, err := p.b.network.Apply([]nfct.Op{{Action: nfct.Set, Entry: moved}}); err != nil || tally.Counts[nfct.Refreshed]+tally.Counts[nfct.Updated] != 1 {
		t.Fatalf("%v, %v", tally, err)
	}
	p.a.change(nfct.Delete, 1, 0, 2)
	p.until(t, "one is kept, the other gone", func() bool { return p.b.has() == 1 && p.settled() })
	if kept := p.b.status().Entries.Taken.Kept; kept != 1 {
		t.Errorf("%d kept, want 1", kept)
	}
}

// TestOverrunIsMended: of events that found no room the table is told anew: what had
// come, and what had gone.
func TestOverrunIsMended(t *testing.T) {
	p := newTrackers(t, addr("10.8.0.1"), netip.Addr{}, 1<<13)
	const early, late = 5, 3000
	p.a.change(nfct.Set, 1, 0, early)
	p.until(t, "the first are told", func() bool { return p.b.has() == early })
	// While nobody reads, some go and many come.
	p.a.change(nfct.Set, 1, early, late)
	p.a.change(nfct.Delete, 1, 0, early)
	p.until(t, "the host knows that it has missed some", func() bool { return p.a.status().Resyncs[conntrack.ReasonLost] > 0 })
	p.until(t, "the other host has what there is", func() bool { return p.b.has() == late && p.settled() })
	if got := p.a.status().Resyncs[conntrack.ReasonLost]; got != 1 {
		t.Errorf("told anew %d times, want once", got)
	}
	p.a.change(nfct.Delete, 1, early, 5)
	p.until(t, "what comes later is told", func() bool { return p.b.has() == late-5 })
}
