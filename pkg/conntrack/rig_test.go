// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/stream/simnet"
	"hafast/pkg/conntrack/wire"
)

// rig is a few hosts on a simulated network.
type rig struct {
	t     testing.TB
	net   *simnet.Net
	hosts []*host
	boots uint64
}

// host is a daemon, its table and its kernel. It is an endpoint of the network.
type host struct {
	rig     *rig
	id      int
	addr    netip.Addr
	options conntrack.Options
	mtu     int
	engine  *conntrack.Engine
	table   *memory
	scope   []record.Address
	offset  time.Duration // of its clock
	deaf    bool          // its daemon is paused: nothing is received or stepped
	hellos  map[netip.Addr]string
	errs    map[string]int
	largest int // datagram that it sent
}

// shape is what a rig is made with.
type shape struct {
	seed   uint64
	hosts  int // 0: 2
	link   simnet.Link
	audit  time.Duration
	limits conntrack.Limits
	keys   [][]byte
	each   func(*host) // before its daemon starts
}

var quickLink = simnet.Link{Delay: 100 * time.Microsecond}

var firstKey, secondKey = slices.Repeat([]byte{1}, wire.KeySize), slices.Repeat([]byte{2}, wire.KeySize)

func newRig(t testing.TB, s shape) *rig {
	t.Helper()
	if s.hosts == 0 {
		s.hosts = 2
	}
	if s.link == (simnet.Link{}) {
		s.link = quickLink
	}
	if s.keys == nil {
		s.keys = [][]byte{firstKey}
	}
	r := &rig{t: t, net: simnet.New(s.seed, s.hosts, s.link), boots: s.seed<<16 + 1}
	for id := range s.hosts {
		h := &host{rig: r, id: id, addr: addrOf(id), hellos: map[netip.Addr]string{}, errs: map[string]int{}}
		h.table = newMemory(h.now)
		h.options = conntrack.Options{Keys: r.ring(s.keys...), AuditPeriod: s.audit, Limits: s.limits, Config: 7}
		r.hosts = append(r.hosts, h)
	}
	for _, h := range r.hosts {
		if s.each != nil {
			s.each(h)
		}
		h.start()
	}
	return r
}

func (r *rig) ring(keys ...[]byte) *wire.Keyring {
	ring, err := wire.NewKeyring(keys...)
	if err != nil {
		r.t.Fatal(err)
	}
	return ring
}

func addrOf(id int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(id + 1)}) }

// start starts the host's daemon, anew if it runs. The table stays.
func (h *host) start() {
	h.rig.boots++
	o := h.options
	o.Boot, o.Flows = h.rig.boots, h.table
	engine, err := conntrack.New(h.now(), o)
	if err != nil {
		h.rig.t.Fatal(err)
	}
	var peers []conntrack.Peer
	for _, other := range h.rig.hosts {
		if other != h {
			peers = append(peers, conntrack.Peer{Addr: other.addr, MTU: h.mtu})
		}
	}
	h.engine = engine
	h.engine.SetPeers(h.now(), peers)
	h.must(h.engine.SetHello(fmt.Appendf(nil, "hello of %d", h.id)))
	h.must(h.engine.SetScope(h.now(), h.scope))
	h.rig.net.Attach(h.id, h)
}

func (h *host) must(err error) {
	if err != nil {
		h.rig.t.Helper()
		h.rig.t.Fatal(err)
	}
}

// die takes the host off the network; start brings it back, its table empty.
func (h *host) die() {
	h.rig.net.Attach(h.id, nil)
	*h.table = *newMemory(h.now)
	h.scope = nil
}

func (h *host) now() time.Time { return h.rig.net.Now().Add(h.offset) }

// Receive is an Endpoint's.
func (h *host) Receive(_ time.Time, from int, datagram []byte) {
	if h.deaf {
		return
	}
	hello, err := h.engine.Receive(h.now(), addrOf(from), 255, datagram)
	if err != nil {
		h.errs[err.Error()]++
	}
	if hello != nil {
		h.hellos[addrOf(from)] = string(hello)
	}
	h.step()
}

// Deadline is an Endpoint's.
func (h *host) Deadline() time.Time {
	if at, ok := h.engine.Deadline(); ok && !h.deaf {
		return at.Add(-h.offset)
	}
	return time.Time{}
}

// Tick is an Endpoint's.
func (h *host) Tick(time.Time) { h.step() }

func (h *host) step() {
	h.engine.Step(h.now(), func(to netip.Addr, datagram []byte) {
		h.largest = max(h.largest, len(datagram))
		h.rig.net.Send(h.id, int(to.As4()[3])-1, datagram)
	})
}

// hold makes the host Active for VIPs, and for no others.
func (h *host) hold(vips ...record.Address) {
	h.scope = vips
	h.must(h.engine.SetScope(h.now(), vips))
	h.step()
}

// open has a packet of a new flow come.
func (h *host) open(k record.FlowKey, target record.Address) {
	h.news(conntrack.Created, record.Flow{Key: k, Target: target})
}

// news changes a flow in the table, and tells the engine.
func (h *host) news(n conntrack.News, f record.Flow) {
	if h.note(n, f) {
		h.step()
	}
}

// note is news before the next step. It reports whether they are any.
func (h *host) note(n conntrack.News, f record.Flow) bool {
	if n == conntrack.Deleted {
		h.table.drop(f.Key)
	} else if !h.table.put(f, 0) {
		return false
	}
	h.engine.Flow(h.now(), n, &f)
	return true
}

// fill gives the host flows that it does not tell as news.
func (h *host) fill(from, n int, vip record.Address) {
	for i := from; i < from+n; i++ {
		h.table.put(record.Flow{Key: keyOf(i, vip), Target: hostA}, 0)
	}
}

func (h *host) peer(id int) conntrack.PeerStatus {
	for _, p := range h.engine.Status(h.now()).Peers {
		if p.Addr == addrOf(id) {
			return p
		}
	}
	h.rig.t.Fatalf("host %d has no peer %d", h.id, id)
	return conntrack.PeerStatus{}
}

func (h *host) state(id int) conntrack.State { return h.engine.State(h.now(), addrOf(id)) }

func address(text string) record.Address { return record.AddressOf(netip.MustParseAddr(text)) }

var (
	vip1  = address("10.8.0.1")
	vip2  = address("10.8.0.2")
	vip6  = address("fd00::8:1")
	hostA = address("10.9.0.1")
	hostB = address("10.9.0.2")
)

// keyOf is the key of the i-th flow to a VIP.
func keyOf(i int, vip record.Address) record.FlowKey {
	client := [4]byte{172, 16}
	binary.BigEndian.PutUint16(client[2:], uint16(i>>16))
	k := record.FlowKey{
		Client: record.AddressOf(netip.AddrFrom4(client)), VIP: vip,
		ClientPort: uint16(i), VIPPort: 443, Proto: 6,
	}
	if !vip.Is4() {
		k.Client = address("fd00::c:1")
		binary.BigEndian.PutUint32(k.Client[8:], uint32(i>>16))
	}
	return k
}

// settle waits until all hosts are in sync with each other and nothing waits.
func (r *rig) settle(within time.Duration) {
	r.t.Helper()
	settled := func() bool {
		for _, h := range r.hosts {
			for _, p := range h.engine.Status(h.now()).Peers {
				if p.State != conntrack.InSync || !p.Covered || p.Backlog > 0 {
					return false
				}
			}
		}
		return true
	}
	for end := r.net.Now().Add(within); !settled(); r.net.Run(time.Millisecond) {
		if r.net.Now().After(end) {
			r.t.Fatalf("not in sync after %v:\n%s", within, r.describe())
		}
	}
	r.check()
}

// check looks for what must never happen between hosts of one version.
func (r *rig) check() {
	r.t.Helper()
	for _, h := range r.hosts {
		for _, p := range h.engine.Status(h.now()).Peers {
			if p.Flows.Taken.Miscounted > 0 || p.UnknownGroups > 0 || p.UnknownParts > 0 || p.Rejected[wire.RejectBody] > 0 {
				r.t.Fatalf("host %d did not understand all:\n%s", h.id, r.describe())
			}
		}
	}
}

func (r *rig) describe() (out string) {
	for _, h := range r.hosts {
		for _, p := range h.engine.Status(h.now()).Peers {
			out += fmt.Sprintf("host %d to %v: %v %s covered %v backlog %d epoch %d window %d resyncs %v rejected %v\n\t%+v\n",
				h.id, p.Addr, p.State, p.Incompatible, p.Covered, p.Backlog, p.Epoch, p.Window, p.Resyncs, p.Rejected, p.Flows)
		}
	}
	return out
}

// alike checks that the flows to VIPs are the same everywhere as on the first host
// given.
func (r *rig) alike(as *host, vips ...record.Address) {
	r.t.Helper()
	for _, h := range r.hosts {
		if diff := difference(as.table, h.table, vips); diff != "" {
			r.t.Fatalf("host %d is not like host %d: %s\n%s", h.id, as.id, diff, r.describe())
		}
	}
}

// difference says how the flows to VIPs differ; empty if they do not.
func difference(a, b *memory, vips []record.Address) string {
	for k := range a.index {
		f, _ := a.get(k)
		if !slices.Contains(vips, k.VIP) {
			continue
		}
		switch g, ok := b.get(k); {
		case !ok:
			return fmt.Sprintf("%v is missing, of %d and %d", k, len(a.index), len(b.index))
		case g.Target != f.Target || g.Closing != f.Closing:
			return fmt.Sprintf("%v: %+v, not %+v", k, g, f)
		}
	}
	for k := range b.index {
		if _, ok := a.index[k]; !ok && slices.Contains(vips, k.VIP) {
			return fmt.Sprintf("%v is still there, of %d and %d", k, len(a.index), len(b.index))
		}
	}
	return ""
}

func mustGet(t testing.TB, h *host, i int) record.Flow {
	t.Helper()
	f, ok := h.table.get(keyOf(i, vip1))
	if !ok {
		t.Fatalf("host %d has no flow %d", h.id, i)
	}
	return f
}
