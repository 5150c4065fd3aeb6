// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"hafast/pkg/loader"
	"hafast/test/program/rig"
)

// The crowded world: as many targets as there can be, and many services.
const (
	crowdServices = 1000 // of each family, besides the world's own
	crowdPorts    = 4    // of each VIP
	crowdTables   = 32   // besides the world's own
)

// crowd makes the world a crowded one. The service that cases are about has a table of
// all targets that are behind their interface.
func (h *harness) crowd() error {
	targets := rig.Targets()
	for place := len(targets); place < loader.MaxTargets; place++ {
		t := targets[rig.Peer]
		t.Place, t.Addr = place, netip.AddrFrom4([4]byte{10, 0, 1, byte(place)})
		t.MAC[5] += byte(place)
		t.MAC[4] = 0x10
		targets = append(targets, t)
	}
	var places []uint8
	for _, t := range targets {
		if err := h.SetTarget(t); err != nil {
			return err
		}
		if t.Place != rig.Self && t.Ifindex == rig.Lo && t.Flags&loader.TargetNew != 0 {
			places = append(places, uint8(t.Place))
		}
	}
	s := rig.Steered()
	own := len(s.Tables)
	s.Tables[portThere-rig.PortSelf] = tableOf(places, 0)
	for n := range crowdTables {
		s.Tables = append(s.Tables, tableOf(places, n))
	}
	var vips []loader.VIP
	for _, f := range rig.Families() {
		vips = append(vips, loader.VIP{Addr: f.VIP, Gate: rig.Gate})
		for i := range crowdServices {
			vip := crowdVIP(f, i/crowdPorts)
			if i%crowdPorts == 0 {
				vips = append(vips, loader.VIP{Addr: vip, Gate: rig.Gate})
			}
			s.Services = append(s.Services, loader.Service{
				VIP: vip, Port: uint16(8000 + i%crowdPorts), Proto: loader.TCP, Set: uint16(own + i%crowdTables), ID: uint16(1000 + i),
			})
		}
	}
	if err := h.SetVIPs(vips); err != nil {
		return err
	}
	return h.Publish(s)
}

// tableOf is places in turn, from another one each time.
func tableOf(places []uint8, from int) []uint8 {
	table := make([]uint8, loader.TableSize)
	for i := range table {
		table[i] = places[(from+i)%len(places)]
	}
	return table
}

// crowdVIP is one of the VIPs' own network.
func crowdVIP(f rig.Family, i int) netip.Addr {
	a := f.VIP.AsSlice()
	last := a[len(a)-4:]
	binary.BigEndian.PutUint32(last, 10<<24|2<<16|uint32(i+1))
	addr, _ := netip.AddrFromSlice(a)
	return addr
}

// measureCrowd runs those cases that services and targets make a difference to.
func (h *harness) measureCrowd(ctx context.Context, o Options) (costs []Cost, err error) {
	if err := h.crowd(); err != nil {
		return nil, fmt.Errorf("crowd the world: %w", err)
	}
	for _, f := range rig.Families() {
		for _, s := range o.usual() {
			if err := h.refill(f, s.table, rig.Peer, false); err != nil {
				return nil, err
			}
			for _, k := range kinds() {
				if k.stores || k.alone || k.place == rig.Self && k.known || k.reason == loader.PassLocalNew {
					continue
				}
				c, err := h.cost(ctx, o, f, s, k)
				if err != nil {
					return nil, fmt.Errorf("crowded: %s, %s, %s: %w", k.name, f.Name, s.name, err)
				}
				if o.Progress != nil {
					o.Progress(c)
				}
				costs = append(costs, c)
			}
		}
	}
	return costs, nil
}
