// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// void is a table that costs nothing.
type void struct{ applied int }

func (v *void) Apply(_ netip.Addr, changes []conntrack.Change[record.Flow]) {
	v.applied += len(changes)
}
func (v *void) Begin(netip.Addr)                                    {}
func (v *void) Sweep(netip.Addr) conntrack.Sweeper                  { return v }
func (v *void) Walk([]record.Address) conntrack.Walker[record.Flow] { return nothing{} }
func (v *void) Next([]record.Address, int) (int, error)             { return 0, io.EOF }
func (v *void) Close()                                              {}

type nothing struct{}

func (nothing) Next([]record.Flow) (int, error) { return 0, io.EOF }
func (nothing) Close()                          {}

// pair is two engines that hand each other what they send, and what that costs each.
type pair struct {
	b       *testing.B
	now     time.Time
	engines [2]*conntrack.Engine
	queue   [2][][]byte // to each
	spent   [2]time.Duration
}

func newPair(b *testing.B, tables [2]conntrack.FlowTable, scope ...record.Address) *pair {
	p := &pair{b: b, now: time.Unix(1e9, 0)}
	ring, err := wire.NewKeyring(firstKey)
	if err != nil {
		b.Fatal(err)
	}
	for i := range p.engines {
		p.engines[i], err = conntrack.New(p.now, conntrack.Options{Boot: uint64(i + 1), Keys: ring, Flows: tables[i]})
		if err != nil {
			b.Fatal(err)
		}
		p.engines[i].SetPeers(p.now, []conntrack.Peer{{Addr: addrOf(1 - i)}})
	}
	if err := p.engines[0].SetScope(p.now, scope); err != nil {
		b.Fatal(err)
	}
	return p
}

// turn lets a while pass and has each engine do what there is to do.
func (p *pair) turn(d time.Duration) {
	p.now = p.now.Add(d)
	for i := range p.engines {
		began := time.Now()
		for _, d := range p.queue[i] {
			if _, err := p.engines[i].Receive(p.now, addrOf(1-i), 255, d); err != nil {
				p.b.Fatal(err)
			}
		}
		p.queue[i] = p.queue[i][:0]
		p.engines[i].Step(p.now, func(_ netip.Addr, d []byte) {
			p.queue[1-i] = append(p.queue[1-i], append([]byte(nil), d...))
		})
		p.spent[i] += time.Since(began)
	}
}

func (p *pair) report() {
	p.b.ReportMetric(float64(p.spent[0].Nanoseconds())/float64(p.b.N), "ns/flow-sent")
	p.b.ReportMetric(float64(p.spent[1].Nanoseconds())/float64(p.b.N), "ns/flow-received")
}

// BenchmarkNews is what a new flow costs each end, without tables and sockets, at
// 50,000 a second as the engines' clock has it.
func BenchmarkNews(b *testing.B) {
	table := &void{}
	p := newPair(b, [2]conntrack.FlowTable{table, table}, vip1)
	for range 1000 {
		p.turn(time.Millisecond)
	}
	p.spent = [2]time.Duration{}
	b.ReportAllocs()
	b.ResetTimer()
	const burst = 50
	for done := 0; done < b.N; done += burst {
		began := time.Now()
		for i := range burst {
			p.engines[0].Flow(p.now, conntrack.Created, &record.Flow{Key: keyOf(done+i, vip1), Target: hostA})
		}
		p.spent[0] += time.Since(began)
		p.turn(time.Millisecond)
	}
	p.report()
	if b.N > 10_000 && table.applied < b.N*9/10 {
		b.Errorf("%d of %d flows were applied", table.applied, b.N)
	}
}

// BenchmarkWalk is what a flow costs each end in a resync, the sender's table in memory
// among it.
func BenchmarkWalk(b *testing.B) {
	var p *pair
	from, to := newMemory(func() time.Time { return p.now }), &void{}
	p = newPair(b, [2]conntrack.FlowTable{from, to}, vip1)
	for i := range b.N {
		from.put(record.Flow{Key: keyOf(i, vip1), Target: hostA}, 0)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for to.applied < b.N {
		p.turn(100 * time.Microsecond)
	}
	p.report()
}
