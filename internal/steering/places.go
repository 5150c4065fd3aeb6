// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
)

// ErrNoPlace is returned when all MaxTargets places are taken.
var ErrNoPlace = errors.New("no place left for another target")

// ErrPlaceTaken is returned for a place, or an address, that is in use otherwise.
var ErrPlaceTaken = errors.New("place taken")

// Places gives targets their places: the numbers by which flows remember them on
// this host. A place stays its target's own until it is freed, so that no flow is
// ever sent to another target that has come by its number. The zero Places are
// all free.
type Places struct {
	addrs [MaxTargets]netip.Addr
}

// Restore books a place as an earlier run has left it.
func (p *Places) Restore(place uint8, addr netip.Addr) error {
	if place >= MaxTargets || !addr.IsValid() {
		return fmt.Errorf("restore place %d of %v: there are %d places, for addresses", place, addr, MaxTargets)
	}
	if had, ok := p.Of(addr); ok && had != place {
		return fmt.Errorf("restore place %d of %v: %w: the target has place %d", place, addr, ErrPlaceTaken, had)
	}
	if owner := p.addrs[place]; owner.IsValid() && owner != addr {
		return fmt.Errorf("restore place %d of %v: %w by %v", place, addr, ErrPlaceTaken, owner)
	}
	p.addrs[place] = addr
	return nil
}

// Assign gives each address a place: the one that it has, or the first free one.
// If there are too few, nothing changes and the error is ErrNoPlace; the caller
// may Free those of targets that are gone, once no flow names them.
func (p *Places) Assign(addrs ...netip.Addr) error {
	next := *p
	for _, a := range addrs {
		if _, ok := next.Of(a); ok || !a.IsValid() {
			continue
		}
		free, ok := next.find(netip.Addr{})
		if !ok {
			return fmt.Errorf("%w: %v would be number %d of at most %d", ErrNoPlace, a, MaxTargets+1, MaxTargets)
		}
		next.addrs[free] = a
	}
	*p = next
	return nil
}

// Free gives up an address's place, and reports whether it had one.
func (p *Places) Free(addr netip.Addr) bool {
	place, ok := p.Of(addr)
	if ok {
		p.addrs[place] = netip.Addr{}
	}
	return ok
}

// Of returns an address's place.
func (p *Places) Of(addr netip.Addr) (uint8, bool) {
	if !addr.IsValid() {
		return 0, false
	}
	return p.find(addr)
}

// find is Of, and finds a free place for the zero Addr.
func (p *Places) find(addr netip.Addr) (uint8, bool) {
	for place, a := range p.addrs {
		if a == addr {
			return uint8(place), true
		}
	}
	return 0, false
}

// All are the places in use and whose they are, in order.
func (p *Places) All() iter.Seq2[uint8, netip.Addr] {
	return func(yield func(uint8, netip.Addr) bool) {
		for place, a := range p.addrs {
			if a.IsValid() && !yield(uint8(place), a) {
				return
			}
		}
	}
}
