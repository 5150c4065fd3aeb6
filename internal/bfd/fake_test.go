// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// fakeSlots is the reply map without a program behind it.
type fakeSlots struct {
	sent    [MaxPeers]atomic.Uint32
	reply   [MaxPeers]atomic.Uint64 // sequence << 32 | state
	at      [MaxPeers]atomic.Int64
	n       [MaxPeers]atomic.Uint64
	witness atomic.Uint64
	onSent  func(slot int, seq uint32) // nil: nothing
}

func (f *fakeSlots) SetSent(slot int, seq uint32) {
	f.sent[slot].Store(seq)
	if f.onSent != nil {
		f.onSent(slot, seq)
	}
}

func (f *fakeSlots) Reply(slot int) (uint32, uint8, time.Duration, uint64) {
	n := f.n[slot].Load()
	r := f.reply[slot].Load()
	return uint32(r >> 32), uint8(r), time.Duration(f.at[slot].Load()), n
}

func (f *fakeSlots) WitnessReplies() uint64 { return f.witness.Load() }

// answer notes a reply, as the program does.
func (f *fakeSlots) answer(slot int, seq uint32, state WireState, at time.Duration) {
	f.at[slot].Store(int64(at))
	f.reply[slot].Store(uint64(seq)<<32 | uint64(state))
	f.n[slot].Add(1)
}

// The two ends of the tests' wire.
var (
	here4, there4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	here6, there6 = netip.MustParseAddr("fd00:9::1"), netip.MustParseAddr("fd00:9::2")
	hereL, thereL = netip.MustParseAddr("fe80::9:1"), netip.MustParseAddr("fe80::9:2")
)

// newWire enters a namespace with eth0 wired to peer0 in another one.
func newWire(t testing.TB) *nstest.Peer {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	peer := nstest.NewPeer(t, "peer0")
	nstest.Add(t, "eth0", here4.String()+"/24")
	nstest.Add(t, "eth0", here6.String()+"/64")
	nstest.Add(t, "eth0", hereL.String()+"/64")
	peer.Do(func() {
		nstest.Add(t, "peer0", there4.String()+"/24")
		nstest.Add(t, "peer0", there6.String()+"/64")
		nstest.Add(t, "peer0", thereL.String()+"/64")
	})
	nstest.Operational(t, "eth0")
	return peer
}

// reflector stands for the peer's XDP program and for ours: it takes probes off
// the wire at the peer's end, and notes the reply in the map.
type reflector struct {
	slots *fakeSlots
	slot  map[netip.Addr]int
	state atomic.Int32 // WireState, or -1 for dead

	mu   sync.Mutex
	last map[netip.Addr]frame
}

// frame is a probe as it was on the wire.
type frame struct {
	TTL, TOS uint8
	From, To netip.AddrPort
	Checksum uint16
	Packet   Packet
	Err      error
}

const dead = -1

func newReflector(t testing.TB, peer *nstest.Peer, slots *fakeSlots, clock *clock) *reflector {
	t.Helper()
	r := &reflector{
		slots: slots, slot: map[netip.Addr]int{there4: 0, there6: 1, thereL: 2}, last: make(map[netip.Addr]frame),
	}
	r.state.Store(int32(WireUp))
	var conn *packet.Conn
	peer.Do(func() {
		var err error
		ifi := nstest.Link(t, "peer0").Attrs()
		conn, err = packet.Listen(&net.Interface{Name: ifi.Name, Index: ifi.Index}, packet.Raw, unix.ETH_P_ALL, nil)
		if err != nil {
			t.Errorf("listen: %v", err)
		}
	})
	if conn == nil {
		t.FailNow()
	}
	var done sync.WaitGroup
	done.Go(func() {
		b := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			f, ok := readFrame(b[:n])
			if !ok {
				continue
			}
			r.mu.Lock()
			r.last[f.To.Addr()] = f
			r.mu.Unlock()
			if state := r.state.Load(); f.Err == nil && state != dead {
				slots.answer(r.slot[f.To.Addr()], f.Packet.My, WireState(state), clock.now())
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
	})
	return r
}

// probe is the last one seen on its way to an address.
func (r *reflector) probe(to netip.Addr) frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[to]
}

// readFrame reads a datagram to the reflector's port.
func readFrame(b []byte) (frame, bool) {
	if len(b) < 14 {
		return frame{}, false
	}
	var f frame
	var from, to netip.Addr
	ip := b[14:]
	switch typ := binary.BigEndian.Uint16(b[12:]); {
	case typ == uint16(ethernet.EtherTypeIPv4) && len(ip) >= 28 && ip[0] == 0x45 && ip[9] == unix.IPPROTO_UDP:
		f.TTL, f.TOS = ip[8], ip[1]
		from, to = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		ip = ip[20:]
	case typ == uint16(ethernet.EtherTypeIPv6) && len(ip) >= 48 && ip[6] == unix.IPPROTO_UDP:
		f.TTL, f.TOS = ip[7], ip[0]<<4|ip[1]>>4
		from, to = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		ip = ip[40:]
	default:
		return frame{}, false
	}
	f.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(ip))
	f.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(ip[2:]))
	f.Checksum = binary.BigEndian.Uint16(ip[6:])
	f.Packet, f.Err = parse(ip[8:])
	return f, f.To.Port() == Port
}
