// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
)

// stranger is a peer made by hand, in host 1's place: it has the key, and may be of
// another version, have a bug or mean ill.
type stranger struct {
	t      *testing.T
	r      *rig
	sealer *wire.Sealer
	opener *wire.Opener
	heard  []wire.Part
	epoch  uint32
	number uint64
}

func newStranger(t *testing.T, g wire.Greeting) (*stranger, *host) {
	r := newRig(t, shape{})
	const boot = 77
	sealer, err := wire.NewSealer(r.ring(firstKey), boot)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{t: t, r: r, sealer: sealer, opener: wire.NewOpener(r.ring(firstKey), boot), epoch: 1}
	r.net.Attach(1, s)
	s.send(nil)
	r.net.Run(time.Millisecond)
	s.send(wire.AppendGreeting(nil, g))
	r.net.Run(time.Millisecond)
	return s, r.hosts[0]
}

func (s *stranger) Receive(now time.Time, _ int, datagram []byte) {
	opened, err := s.opener.Open(now, datagram)
	if err != nil {
		s.t.Errorf("open: %v", err)
	}
	for p, ok := opened.Parts.Next(); ok; p, ok = opened.Parts.Next() {
		s.heard = append(s.heard, p)
	}
}

func (s *stranger) Deadline() time.Time { return time.Time{} }
func (s *stranger) Tick(time.Time)      {}

func (s *stranger) send(parts []byte) {
	datagram, err := s.sealer.Seal(nil, append(wire.AppendTo(nil, s.opener.To()), parts...))
	if err != nil {
		s.t.Fatal(err)
	}
	s.r.net.Send(1, 0, datagram)
}

func (s *stranger) batch(groups []byte) {
	s.number++
	s.send(wire.AppendBatch(nil, wire.Batch{Epoch: s.epoch, Number: s.number, Groups: groups}))
	s.r.net.Run(time.Millisecond)
}

var greeting = wire.Greeting{Lowest: 1, Highest: 1, Tables: 1 << wire.Flows, Config: 7}

// TestLaterVersion: what a peer of a later version says beyond what is known here is
// passed over and counted.
func TestLaterVersion(t *testing.T) {
	g := greeting
	g.Highest = 2
	s, a := newStranger(t, g)
	parts, err := wire.AppendPart(nil, 200, []byte("what may this be"))
	if err != nil {
		t.Fatal(err)
	}
	s.send(parts)
	w := wire.NewBatchWriter(1400)
	w.Begin(wire.Begin{Table: wire.Flows, Generation: 1, Scope: []record.Address{vip1}})
	w.Flow(wire.Set, record.Flow{Key: keyOf(1, vip1), Target: hostA})
	groups := append([]byte{99, 0, 0, 3, 1, 2, 3}, w.Groups()...)
	w.Reset()
	w.Flow(wire.Set, record.Flow{Key: keyOf(2, vip1), Target: hostA})
	w.End(wire.End{Table: wire.Flows, Generation: 1, Count: 3}) // it has told one that is not known here
	a.table.put(record.Flow{Key: keyOf(3, vip1), Target: hostA}, 0)
	s.batch(append(groups, w.Groups()...))
	p := a.peer(1)
	if p.UnknownParts != 1 || p.UnknownGroups != 1 || p.Version != 1 {
		t.Errorf("%d unknown parts, %d groups, version %d", p.UnknownParts, p.UnknownGroups, p.Version)
	}
	if len(a.table.index) != 3 || p.Flows.Taken.Miscounted != 1 || p.State != conntrack.InSync {
		t.Errorf("%d flows, %+v, %v", len(a.table.index), p.Flows.Taken, p.State)
	}
}

// TestBatchThatIsNotUnderstood: what it said is asked for anew.
func TestBatchThatIsNotUnderstood(t *testing.T) {
	s, a := newStranger(t, greeting)
	s.heard = nil
	s.batch([]byte{1, 0, 255, 255})
	if p := a.peer(1); p.Rejected[wire.RejectBody] != 1 || p.State != conntrack.Syncing {
		t.Errorf("rejected %v, %v", p.Rejected, p.State)
	}
	for _, p := range s.heard {
		if p.Type == wire.PartGreeting {
			if g, err := wire.DecodeGreeting(p.Content); err != nil || g.Want != 2 {
				t.Errorf("wants epoch %d, %v", g.Want, err)
			}
			return
		}
	}
	t.Error("nothing was asked for")
}

// TestPeerThatMeansIll: a peer that has the key can make this host hold and do only so
// much.
func TestPeerThatMeansIll(t *testing.T) {
	s, a := newStranger(t, greeting)
	a.hold(vip1)
	a.churn(0, 100, vip1)
	for i := range 2000 {
		g := greeting
		g.Want = math.MaxUint32
		s.send(wire.AppendGreeting(nil, g))
		s.send(wire.AppendAck(nil, wire.Ack{Epoch: uint32(i), Next: math.MaxUint64, Missing: []wire.Range{{From: math.MaxUint64 - 1, To: math.MaxUint64 - 1}}}))
		s.send(wire.AppendTip(nil, wire.Tip{Epoch: 5, Last: math.MaxUint64}))
		content := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 5}, uint64(i)*1000+2)
		parts, _ := wire.AppendPart(nil, wire.PartBatch, append(content, make([]byte, 8000)...))
		s.send(parts)
		s.r.net.Run(time.Millisecond)
	}
	p := a.peer(1)
	if n := p.Resyncs[conntrack.ReasonAsked]; n > 8 {
		t.Errorf("%d resyncs in 2 s", n)
	}
	if p.State == conntrack.InSync || p.Covered {
		t.Errorf("%v, covered %v", p.State, p.Covered)
	}
	if n := p.Received.Datagrams; n < 8000 {
		t.Errorf("%d datagrams received", n)
	}
}

// TestEndBeforeBegin: walks that end without having begun, or another time, drop nothing.
func TestEndBeforeBegin(t *testing.T) {
	s, a := newStranger(t, greeting)
	a.fill(0, 10, vip1)
	w := wire.NewBatchWriter(1400)
	w.End(wire.End{Table: wire.Flows, Generation: 1})
	w.Begin(wire.Begin{Table: wire.Flows, Generation: 2, Scope: []record.Address{vip1}})
	w.End(wire.End{Table: wire.Flows, Generation: 1})
	w.Begin(wire.Begin{Table: wire.Entries, Generation: 1})
	w.End(wire.End{Table: wire.Entries, Generation: 1})
	w.Entry(wire.Set, &record.Entry{})
	s.batch(w.Groups())
	if got := a.state(1); got != conntrack.Syncing || len(a.table.index) != 10 {
		t.Errorf("%v, %d flows", got, len(a.table.index))
	}
	w.Reset()
	w.End(wire.End{Table: wire.Flows, Generation: 2})
	s.batch(w.Groups())
	if got := a.state(1); got != conntrack.InSync || len(a.table.index) != 0 {
		t.Errorf("%v, %d flows", got, len(a.table.index))
	}
}

func TestPeersComeAndGo(t *testing.T) {
	r := newRig(t, shape{hosts: 3})
	a := r.hosts[0]
	a.hold(vip1)
	a.churn(0, 100, vip1)
	r.settle(time.Second)
	a.engine.SetPeers(a.now(), []conntrack.Peer{{Addr: addrOf(1)}, {Addr: netip.AddrFrom16(addrOf(1).As16())}})
	a.churn(100, 100, vip1)
	if st := a.engine.Status(a.now()); len(st.Peers) != 1 || len(st.Peers[0].Resyncs) != 1 || st.Peers[0].State != conntrack.InSync {
		t.Errorf("%+v", st)
	}
	r.net.Run(5 * time.Second)
	a.engine.SetPeers(a.now(), []conntrack.Peer{{Addr: addrOf(1)}, {Addr: addrOf(2)}})
	r.settle(5 * time.Second)
	r.alike(a, vip1)
}
