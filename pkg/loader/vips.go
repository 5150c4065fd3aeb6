// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/cilium/ebpf"
)

// VIP is a virtual IP and the gate that says whether this host answers for it.
type VIP struct {
	Addr netip.Addr
	Gate int // see SetGate
}

// Peer is another host, and the slot of the liveness session with it.
type Peer struct {
	Addr netip.Addr
	Slot int // see Session
}

// SetVIPs replaces the VIPs. One that stays is one at every moment.
func (d *DataPath) SetVIPs(vips []VIP) error {
	want := make(map[bpfAddress]bpfVip, len(vips))
	filter := new([len(bpfControl{}.Filter)]uint64)
	for _, v := range vips {
		if v.Gate < 0 || v.Gate >= MaxGates {
			return fmt.Errorf("vip %v: gate %d: there are %d", v.Addr, v.Gate, MaxGates)
		}
		want[addressKey(v.Addr)] = bpfVip{Gate: uint32(v.Gate)}
		bit := AddressHash(v.Addr)
		filter[bit/64] |= 1 << (bit % 64)
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	// The program asks the filter first: its bits must cover the map at all times.
	d.control.use(0, func(c *bpfControl) {
		for i, bits := range filter {
			if bits != 0 {
				atomic.OrUint64(&c.Filter[i], bits)
			}
		}
	})
	if err := replaceAll(d.maps.Vips, want); err != nil {
		return fmt.Errorf("set vips: %w", err)
	}
	d.control.use(0, func(c *bpfControl) {
		for i, bits := range filter {
			if atomic.LoadUint64(&c.Filter[i]) != bits {
				atomic.StoreUint64(&c.Filter[i], bits)
			}
		}
	})
	return nil
}

// VIPs lists the VIPs, a predecessor's until SetVIPs.
func (d *DataPath) VIPs() ([]VIP, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []VIP
	var key bpfAddress
	var value bpfVip
	entries := d.maps.Vips.Iterate()
	for entries.Next(&key, &value) {
		list = append(list, VIP{Addr: addr6(key.Word).Unmap(), Gate: int(value.Gate)})
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("list vips: %w", err)
	}
	return list, nil
}

// SetLocals replaces the addresses of this host that probes are answered on; each
// comes with the discriminator that a probe must ask for.
func (d *DataPath) SetLocals(locals map[netip.Addr]uint32) error {
	want := make(map[bpfAddress]bpfLocal, len(locals))
	for a, discriminator := range locals {
		want[addressKey(a)] = bpfLocal{Discriminator: discriminator}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := replaceAll(d.maps.Locals, want); err != nil {
		return fmt.Errorf("set local addresses: %w", err)
	}
	return nil
}

// SetMACs replaces the hardware addresses of this host's interfaces: a frame for another
// one, that a switch has flooded, is not sent on to a peer.
func (d *DataPath) SetMACs(macs [][6]byte) error {
	want := make(map[bpfMac]uint8, len(macs))
	for _, m := range macs {
		want[bpfMac{Byte: m}] = 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := replaceAll(d.maps.Macs, want); err != nil {
		return fmt.Errorf("set own hardware addresses: %w", err)
	}
	return nil
}

// SetPeers replaces the hosts that liveness is exchanged with. A host may have
// several addresses in one slot.
func (d *DataPath) SetPeers(peers []Peer) error {
	want := make(map[bpfAddress]bpfPeer, len(peers))
	for _, p := range peers {
		if p.Slot < 0 || p.Slot >= MaxPeers {
			return fmt.Errorf("peer %v: slot %d: there are %d", p.Addr, p.Slot, MaxPeers)
		}
		want[addressKey(p.Addr)] = bpfPeer{Slot: uint32(p.Slot)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := replaceAll(d.maps.Peers, want); err != nil {
		return fmt.Errorf("set peers: %w", err)
	}
	return nil
}

// replaceAll brings a map to the wanted contents: what has to go goes first, to make
// room, and entries that stay are written in place.
func replaceAll[K, V comparable](m *ebpf.Map, want map[K]V) error {
	if len(want) > int(m.MaxEntries()) {
		return fmt.Errorf("%d addresses: there is room for %d", len(want), m.MaxEntries())
	}
	have := make(map[K]V)
	var key K
	var value V
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		have[key] = value
	}
	if err := entries.Err(); err != nil {
		return err
	}
	for key := range have {
		if _, stays := want[key]; !stays {
			if err := m.Delete(key); err != nil {
				return err
			}
		}
	}
	for key, value := range want {
		if now, there := have[key]; there && now == value {
			continue
		}
		if err := m.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// addressKey is an address as the maps have it: IPv4 as ::ffff:a.b.c.d.
func addressKey(a netip.Addr) bpfAddress {
	return bpfAddress{Word: words6(a)}
}

// wordOf finds the word, and the place in it, of a byte that has to be changed
// without touching its neighbours.
func wordOf(bytes *[MaxGates]uint8, i int) (word *uint32, shift int) {
	return wordAt(&bytes[i&^3]), i % 4 * 8
}
