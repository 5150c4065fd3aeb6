// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
)

// stepped is a time as a host sees it whose wall clock was set: the monotonic reading is
// what it was. time.Time keeps the wall clock's seconds above 30 bits of nanoseconds
// (time.Time's own comment); a test below checks that this is so.
func stepped(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(by/time.Second)) << 30
	return t
}

// wallHost is a daemon whose clock is the real one's kind: a wall clock, which may be
// set, and a monotonic one.
type wallHost struct {
	engine *conntrack.Engine
	table  *memory
	wall   time.Duration // by which the wall clock was set
	inbox  [][]byte
}

// wallPair is two of them on a perfect wire.
type wallPair struct {
	t     *testing.T
	now   time.Time // with a monotonic reading
	hosts [2]*wallHost
}

func newWallPair(t *testing.T) *wallPair {
	p := &wallPair{t: t, now: time.Now()}
	r := &rig{t: t}
	for id := range p.hosts {
		h := &wallHost{}
		h.table = newMemory(func() time.Time { return p.clock(h) })
		o := conntrack.Options{Boot: uint64(id + 1), Keys: r.ring(firstKey), Flows: h.table, AuditPeriod: 5 * time.Second}
		var err error
		if h.engine, err = conntrack.New(p.clock(h), o); err != nil {
			t.Fatal(err)
		}
		h.engine.SetPeers(p.clock(h), []conntrack.Peer{{Addr: addrOf(1 - id)}})
		p.hosts[id] = h
	}
	return p
}

func (p *wallPair) clock(h *wallHost) time.Time { return stepped(p.now, h.wall) }

// run lets time pass, a tenth of a millisecond at a time.
func (p *wallPair) run(d time.Duration) {
	const tick = 100 * time.Microsecond
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(tick) {
		for id, h := range p.hosts {
			for _, datagram := range h.inbox {
				if _, err := h.engine.Receive(p.clock(h), addrOf(1-id), 255, datagram); err != nil {
					p.t.Fatalf("host %d: %v", id, err)
				}
			}
			h.inbox = nil
			other := p.hosts[1-id]
			h.engine.Step(p.clock(h), func(_ netip.Addr, datagram []byte) {
				other.inbox = append(other.inbox, slices.Clone(datagram))
			})
		}
	}
}

// open has new flows come to the first host.
func (p *wallPair) open(from, n int) {
	h := p.hosts[0]
	for i := from; i < from+n; i++ {
		f := record.Flow{Key: keyOf(i, vip1), Target: hostA}
		h.table.put(f, 0)
		h.engine.Flow(p.clock(h), conntrack.Created, &f)
	}
}

// TestWallClockIsSet: a wall clock that is set by an hour, either way and on either
// host, is no affair of replication.
func TestWallClockIsSet(t *testing.T) {
	at := time.Now()
	if later := stepped(at, time.Hour); later.Unix() != at.Unix()+3600 || later.Sub(at) != 0 {
		t.Fatalf("%v stepped is %v: time.Time keeps its clocks otherwise", at, later)
	}
	p := newWallPair(t)
	a, b := p.hosts[0], p.hosts[1]
	if err := a.engine.SetScope(p.clock(a), []record.Address{vip1}); err != nil {
		t.Fatal(err)
	}
	p.run(time.Second)
	flows := 0
	for _, c := range []struct {
		host *wallHost
		by   time.Duration
	}{{a, time.Hour}, {b, time.Hour}, {a, -2 * time.Hour}, {b, -3 * time.Hour}} {
		c.host.wall += c.by
		p.open(flows, 100)
		flows += 100
		p.run(6 * time.Second) // an audit is among it
		if diff := difference(a.table, b.table, []record.Address{vip1}); diff != "" {
			t.Fatalf("after %v: %s", c.by, diff)
		}
		for _, h := range p.hosts {
			st := h.engine.Status(p.clock(h)).Peers[0]
			if st.State != conntrack.InSync || len(st.Resyncs) > 1 || st.Lag.Max > 20*time.Millisecond {
				t.Errorf("after %v: %v, resyncs %v, lag %+v", c.by, st.State, st.Resyncs, st.Lag)
			}
			if d := st.Flows.Taken.Diverged; d != (conntrack.Diverged{}) {
				t.Errorf("after %v: diverged are %+v", c.by, d)
			}
		}
		mine, _ := a.table.get(keyOf(0, vip1))
		theirs, _ := b.table.get(keyOf(0, vip1))
		if off := (mine.Idle - theirs.Idle).Abs(); off > 2*time.Second {
			t.Errorf("after %v: a flow is idle for %v there, for %v here", c.by, theirs.Idle, mine.Idle)
		}
	}
}
