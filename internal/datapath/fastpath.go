// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net/netip"
	"time"

	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// Renew lets the gates, and what the reflector says, stand for so long from now. If
// that time had already run out, all gates are closed first, and lapsed is by how
// much: others may have taken the VIPs meanwhile.
func (p *Path) Renew(for_ time.Duration) (lapsed time.Duration) {
	now := Now()
	if until := p.Lease(); until < now {
		lapsed = now - until
		p.fast.Lock()
		for gate := range loader.MaxGates { // a predecessor's too
			p.SetGate(gate, false)
		}
		clear(p.open)
		p.fast.Unlock()
	}
	p.RenewLease(now + for_)
	return lapsed
}

// OpenGate lets requests for the instance's VIPs through.
func (p *Path) OpenGate(instance string) { p.setGate(instance, true) }

// CloseGate keeps requests for the instance's VIPs from this host's stack.
func (p *Path) CloseGate(instance string) { p.setGate(instance, false) }

func (p *Path) setGate(instance string, open bool) {
	p.fast.Lock()
	defer p.fast.Unlock()
	p.open[instance] = open
	if gate, ok := p.gates[instance]; ok {
		p.SetGate(gate, open)
	}
}

// SetTargetState changes what may be done with a target that is known, at once. The tables
// follow with the next reconcile.
func (p *Path) SetTargetState(addr netip.Addr, state steering.State) {
	p.fast.Lock()
	defer p.fast.Unlock()
	if r, ok := p.onLink[addr]; ok {
		r.state = state
		p.onLink[addr] = r
		p.mark(addr)
	}
}

// SetLeg reports whether frames that this host sends on to a target are proved to arrive
// there. Until they are, and when they are not any more, the target gets no new flows.
// Those that it has still go there: nobody else has them.
func (p *Path) SetLeg(addr netip.Addr, proved bool) {
	p.fast.Lock()
	defer p.fast.Unlock()
	p.proved[addr] = proved
	p.mark(addr)
}

// mark writes what may be done with a target. The caller holds fast.
func (p *Path) mark(addr netip.Addr) {
	if r, ok := p.onLink[addr]; ok {
		// It fails only for a place that there is not.
		_ = p.SetTargetFlags(r.place, flagsOf(r.state, addr == p.local, p.proved[addr]))
	}
}

func flagsOf(state steering.State, local, proved bool) loader.TargetFlags {
	var flags loader.TargetFlags
	switch state {
	case steering.Up:
		flags = loader.TargetNew | loader.TargetOld
	case steering.Drain:
		flags = loader.TargetOld
	case steering.Down:
	}
	if local {
		return flags | loader.TargetLocal
	}
	if !proved {
		flags &^= loader.TargetNew
	}
	return flags
}

// Place is that of a target, by which flows remember it.
func (p *Path) Place(target netip.Addr) (place int, ok bool) {
	p.fast.RLock()
	defer p.fast.RUnlock()
	at, ok := p.seats.Of(target)
	return int(at), ok
}

// PlaceOf is the address of the target in a place.
func (p *Path) PlaceOf(place int) (netip.Addr, bool) {
	p.fast.RLock()
	defer p.fast.RUnlock()
	for at, a := range p.seats.All() {
		if int(at) == place {
			return a, true
		}
	}
	return netip.Addr{}, false
}
