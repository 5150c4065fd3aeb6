// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Steering is where new flows go: a service's set is the number of its table.
type Steering struct {
	Services []Service
	// Tables are Maglev tables: TableSize places of targets, or NoTarget. At most
	// MaxSets.
	Tables [][]uint8
}

// Service is a VIP's port that haproxy serves.
type Service struct {
	VIP   netip.Addr
	Port  uint16
	Proto uint8  // TCP or UDP
	Set   uint16 // index of Steering.Tables, or NoSet
	ID    uint16 // the caller's number of the service, which flows remember; see Traffic
}

func (s Service) String() string {
	proto := fmt.Sprintf("protocol %d", s.Proto)
	switch s.Proto {
	case TCP:
		proto = "tcp"
	case UDP:
		proto = "udp"
	}
	return proto + " " + netip.AddrPortFrom(s.VIP, s.Port).String()
}

// Publish makes the steering the one in force, at one moment for all packets: it is
// written to the bank that is not in force, and then the banks are swapped. What is
// in force already is not published again. If anything is wrong, nothing changes.
//
// The former bank remains readable: for a flow that this host does not know, the
// program asks it who had the flow before. It may then read a bank that is being
// written, which at worst gives it a wrong hint.
//
// The swap takes some 0.3 ms; Publish returns a grace period later.
func (d *DataPath) Publish(s Steering) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.scratch
	if err := next.pack(s); err != nil {
		return fmt.Errorf("publish: %w", err)
	}

	var bank uint32
	d.control.use(0, func(c *bpfControl) { bank = atomic.LoadUint32(&c.Bank) & 1 })
	same := false
	d.steering.use(int(bank), func(now *bpfSteering) { same = bytes.Equal(steeringBytes(now), steeringBytes(&next.bank)) })
	if same {
		return nil
	}
	bank ^= 1
	d.steering.use(int(bank), func(idle *bpfSteering) { copy(steeringBytes(idle), steeringBytes(&next.bank)) })
	d.control.use(0, func(c *bpfControl) { atomic.StoreUint32(&c.Bank, bank) })
	// Packets under way may read the former bank, which the next Publish writes.
	grace()
	return nil
}

// packer builds a bank in the daemon's own memory, so that it can be checked and
// compared before any packet may see it.
type packer struct {
	bank bpfSteering
}

func (p *packer) pack(s Steering) error {
	clear(steeringBytes(&p.bank))
	if len(s.Tables) > MaxSets {
		return fmt.Errorf("%d tables: there is room for %d", len(s.Tables), MaxSets)
	}
	for set, table := range s.Tables {
		if err := p.table(set, table); err != nil {
			return fmt.Errorf("table %d: %w", set, err)
		}
	}
	// The order decides who gets which place: the same services give the same bank.
	services := slices.SortedFunc(slices.Values(s.Services), func(a, b Service) int {
		return cmp.Or(a.VIP.Unmap().Compare(b.VIP.Unmap()), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
	})
	for i, service := range services {
		if i > 0 && sameService(services[i-1], service) {
			return fmt.Errorf("service %v: %w", service, errTwice)
		}
		if service.Set != NoSet && int(service.Set) >= len(s.Tables) {
			return fmt.Errorf("service %v: there is no table %d", service, service.Set)
		}
		if err := p.service(service); err != nil {
			return fmt.Errorf("service %v: %w", service, err)
		}
	}
	return nil
}

func sameService(a, b Service) bool {
	return a.VIP.Unmap() == b.VIP.Unmap() && a.Port == b.Port && a.Proto == b.Proto
}

func (p *packer) table(set int, table []uint8) error {
	if len(table) != TableSize {
		return fmt.Errorf("%d slots: must be %d", len(table), TableSize)
	}
	for slot, place := range table {
		if int(place) >= MaxTargets && place != NoTarget {
			return fmt.Errorf("slot %d: place %d: there are %d", slot, place, MaxTargets)
		}
	}
	copy(p.bank.Table[set][:], table)
	return nil
}

var (
	errTwice   = errors.New("listed twice")
	errNoPlace = errors.New("no place left near its own in the table of services")
)

func (p *packer) service(s Service) error {
	if s.Proto != TCP && s.Proto != UDP {
		return errors.New("neither TCP nor UDP")
	}
	if !s.VIP.IsValid() {
		return errors.New("no address")
	}
	if vip := s.VIP.Unmap(); vip.Is4() {
		return place(&p.bank.Service4, bpfService4{
			Vip: word4(vip), Port: swap16(s.Port), Proto: s.Proto, Set: s.Set, Id: s.ID,
		}, func(a *bpfService4) (home int, taken bool) {
			return serviceHome(a.Vip, a.Port, a.Proto), a.Proto != 0
		})
	}
	return place(&p.bank.Service6, bpfService6{
		Vip: words6(s.VIP), Port: swap16(s.Port), Proto: s.Proto, Set: s.Set, Id: s.ID,
	}, func(a *bpfService6) (home int, taken bool) {
		return serviceHome(fold6(a.Vip), a.Port, a.Proto), a.Proto != 0
	})
}

// place puts a service where the program finds it: not further than serviceProbes from
// its home, with no free place in between. Whoever is nearer to its home makes room
// (Robin Hood hashing, Celis 1986): first come first served would leave some services
// too far away in a table that is a quarter full.
func place[S any](table *[serviceSlots]S, s S, at func(*S) (home int, taken bool)) error {
	home, _ := at(&s)
	for far := 0; far < serviceProbes; far++ {
		slot := &table[(home+far)%serviceSlots]
		theirs, taken := at(slot)
		if !taken {
			*slot = s
			return nil
		}
		if distance := (home + far - theirs) & (serviceSlots - 1); distance < far {
			*slot, s = s, *slot
			home, far = theirs, distance
		}
	}
	return errNoPlace
}

func steeringBytes(s *bpfSteering) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s))
}
