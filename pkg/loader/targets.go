// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"unsafe"
)

// TargetFlags say what may be done with a target: enum target_flags of bpf/abi.h.
type TargetFlags uint8

// A target without flags is down: its flows are answered with RST.
const (
	TargetLocal TargetFlags = 1 << iota // this host
	TargetNew                           // healthy: takes new flows
	TargetOld                           // alive: its flows can go there
)

func (f TargetFlags) String() string {
	var names []string
	for _, flag := range []struct {
		bit  TargetFlags
		name string
	}{{TargetLocal, "local"}, {TargetNew, "new"}, {TargetOld, "old"}} {
		if f&flag.bit != 0 {
			names = append(names, flag.name)
		}
	}
	if names == nil {
		return "down"
	}
	return strings.Join(names, "+")
}

// Target is a haproxy that flows can be sent to. Place is what flows remember; it
// stays with the address for as long as flows may name it.
type Target struct {
	Place   int // below MaxTargets
	Addr    netip.Addr
	Ifindex int     // the interface it is reached through
	MAC     [6]byte // its hardware address there
	Source  [6]byte // our own hardware address there
	Flags   TargetFlags
}

// Targets lists the places that have an address, a predecessor's among them.
func (d *DataPath) Targets() []Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []Target
	d.control.use(0, func(c *bpfControl) {
		for place := range c.Target {
			if t := readTarget(&c.Target[place]); t.Address != [16]byte{} {
				list = append(list, Target{
					Place: place, Addr: netip.AddrFrom16(t.Address).Unmap(), Ifindex: int(t.Ifindex),
					MAC: t.Mac, Source: t.Source, Flags: TargetFlags(t.Flags),
				})
			}
		}
	})
	return list
}

// SetTarget writes a target to its place; one without an address frees the place.
//
// No packet sees a place that changes hands half-written: its flags are cleared, the
// packets under way are waited for (a grace period, only if the place was in use),
// then the fields are written and the flags set. A target that keeps its address is
// not taken down for a new hardware address, since its flows would be reset: a
// packet that meets the write, some nanoseconds long, may be lost instead.
func (d *DataPath) SetTarget(t Target) error {
	if t.Place < 0 || t.Place >= MaxTargets {
		return fmt.Errorf("target %v: place %d: there are %d", t.Addr, t.Place, MaxTargets)
	}
	var want bpfTarget
	if t.Addr.IsValid() {
		want = bpfTarget{
			Address: t.Addr.As16(), Ifindex: uint32(t.Ifindex), Mac: t.MAC, Source: t.Source, Flags: uint8(t.Flags),
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.control.use(0, func(c *bpfControl) {
		place := &c.Target[t.Place]
		if now := readTarget(place); now.Address != want.Address && now.Address != [16]byte{} {
			atomic.StoreUint32(&targetAsWords(place)[targetWords-1], 0)
			grace()
		}
		from, to := targetAsWords(&want), targetAsWords(place)
		for i := range targetWords - 1 {
			if atomic.LoadUint32(&to[i]) != from[i] {
				atomic.StoreUint32(&to[i], from[i])
			}
		}
		atomic.StoreUint32(&c.Targets, placesInUse(c))
		atomic.StoreUint32(&to[targetWords-1], from[targetWords-1])
	})
	return nil
}

// SetTargetFlags changes what may be done with the target in a place, by one store.
func (d *DataPath) SetTargetFlags(place int, flags TargetFlags) error {
	if place < 0 || place >= MaxTargets {
		return fmt.Errorf("place %d: there are %d", place, MaxTargets)
	}
	d.control.use(0, func(c *bpfControl) {
		atomic.StoreUint32(&targetAsWords(&c.Target[place])[targetWords-1], uint32(flags))
	})
	return nil
}

// placesInUse is one more than the last place with an address.
func placesInUse(c *bpfControl) uint32 {
	for i := MaxTargets; i > 0; i-- {
		if readTarget(&c.Target[i-1]).Address != [16]byte{} {
			return uint32(i)
		}
	}
	return 0
}

// targetAsWords is a target for atomic access; the last word holds its flags, and
// zeros for padding.
func targetAsWords(t *bpfTarget) *[targetWords]uint32 {
	return (*[targetWords]uint32)(unsafe.Pointer(t))
}

func readTarget(t *bpfTarget) bpfTarget {
	var copied bpfTarget
	from, to := targetAsWords(t), targetAsWords(&copied)
	for i := range from {
		to[i] = atomic.LoadUint32(&from[i])
	}
	return copied
}

// wordAt is the word that begins at a byte, which lies on a multiple of four.
func wordAt(b *uint8) *uint32 { return (*uint32)(unsafe.Pointer(b)) }
