// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"hafast/internal/bfd"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// carried is what the last reconcile came to, so that the next one only changes what is
// new.
type carried struct {
	vips     []loader.VIP
	locals   map[netip.Addr]uint32
	macs     [][6]byte
	peers    []loader.Peer
	targets  map[netip.Addr]loader.Target
	steering loader.Steering
	// published reports whether steering is in force.
	published bool
}

// reconcile changes the maps to what is desired. What fails does not keep the rest
// back.
func (p *Path) reconcile(w Desired) error {
	err := errors.Join(p.setGates(w), p.setPeers(w))
	if w.Hold {
		return errors.Join(err, p.reserve(w.Targets))
	}
	return errors.Join(err, p.setTargets(w), p.setSteering(w))
}

// numberGates gives each instance its gate: the one it has, or had under a
// predecessor, or else a free one.
func (p *Path) numberGates(instances []Instance) error {
	p.fast.Lock()
	defer p.fast.Unlock()
	wanted := make(map[string]bool)
	for _, in := range instances {
		wanted[in.Name] = true
	}
	taken := make(map[int]bool)
	for name, gate := range p.gates {
		if wanted[name] {
			taken[gate] = true
			continue
		}
		p.SetGate(gate, false)
		delete(p.gates, name)
		delete(p.open, name)
	}
	assign := func(name string, gate int) {
		p.gates[name], taken[gate] = gate, true
		p.SetGate(gate, p.open[name])
	}
	for _, in := range instances {
		if _, known := p.gates[in.Name]; known || len(in.VIPs) == 0 {
			continue
		}
		if gate, had := p.former[in.VIPs[0]]; had && !taken[gate] {
			assign(in.Name, gate)
		}
	}
	next := 0
	for _, in := range instances {
		if _, known := p.gates[in.Name]; known {
			continue
		}
		for taken[next] {
			next++
		}
		if next >= loader.MaxGates {
			return fmt.Errorf("%d instances: the data path has room for %d", len(instances), loader.MaxGates)
		}
		assign(in.Name, next)
	}
	return nil
}

// setGates lists the VIPs with the gates of their instances.
func (p *Path) setGates(w Desired) error {
	if err := p.numberGates(w.Instances); err != nil {
		return err
	}
	var vips []loader.VIP
	locals := make(map[netip.Addr]uint32)
	for _, a := range w.Locals {
		locals[a] = bfd.Discriminator(a)
	}
	for _, in := range w.Instances {
		for _, a := range in.VIPs {
			vips = append(vips, loader.VIP{Addr: a, Gate: p.gates[in.Name]})
			locals[a] = bfd.Discriminator(a)
		}
	}
	var failures []error
	if !slices.Equal(vips, p.carried.vips) {
		err := p.SetVIPs(vips)
		if err == nil {
			p.carried.vips = vips
		}
		failures = append(failures, err)
	}
	if !slices.Equal(w.MACs, p.carried.macs) {
		err := p.SetMACs(w.MACs)
		if err == nil {
			p.carried.macs = w.MACs
		}
		failures = append(failures, err)
	}
	if !maps.Equal(locals, p.carried.locals) {
		err := p.SetLocals(locals)
		if err == nil {
			p.carried.locals = locals
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// setPeers gives each peer the slot of its place in the list.
func (p *Path) setPeers(w Desired) error {
	var peers []loader.Peer
	for slot, a := range w.Peers {
		peers = append(peers, loader.Peer{Addr: a, Slot: slot})
	}
	if slices.Equal(peers, p.carried.peers) {
		return nil
	}
	if err := p.SetPeers(peers); err != nil {
		return err
	}
	p.carried.peers = peers
	return nil
}

// setTargets gives each target its place.
func (p *Path) setTargets(w Desired) error {
	if err := p.assign(w.Targets); err != nil {
		return err
	}
	var failures []error
	next := make(map[netip.Addr]loader.Target)
	usable := make(map[netip.Addr]reached)
	var local netip.Addr
	for _, t := range w.Targets {
		if _, twice := next[t.Addr]; twice {
			continue // our own address among the peers, say: the first one counts
		}
		place, _ := p.places.Of(t.Addr)
		target := loader.Target{Place: int(place), Addr: t.Addr, Flags: flagsOf(t.State, t.Local, p.isProved(t.Addr))}
		if t.Local {
			local = t.Addr
			failures = append(failures, p.SetSelf(int(place)))
		} else if err := p.route(&target, t.MAC); err != nil {
			failures = append(failures, err)
			target.Flags = 0
		}
		if t.Local || target.Ifindex != 0 {
			usable[t.Addr] = reached{int(place), t.State}
		}
		next[t.Addr] = target
		if target != p.carried.targets[t.Addr] {
			failures = append(failures, p.SetTarget(target))
		}
	}
	for place, a := range p.places.All() {
		if _, wanted := next[a]; !wanted {
			// Its frames are anybody's again.
			failures = append(failures, p.SetTarget(loader.Target{Place: int(place), Addr: a}))
		}
	}
	p.carried.targets = next
	p.fast.Lock()
	p.onLink, p.local, p.seats = usable, local, p.places
	p.fast.Unlock()
	return errors.Join(failures...)
}

// reserve gives targets their places while the data path is held, and leaves those that
// have one alone. State sync begins before this host knows its peers: a flow whose target
// has no place could not be stored, nor one sent that a predecessor has left. Until the
// hold ends a new place is a target that is down.
func (p *Path) reserve(targets []Target) error {
	before := p.places
	var failures []error
	for _, t := range targets {
		// Where there is no place left, none is freed before the hold ends.
		if err := p.places.Assign(t.Addr); err != nil {
			failures = append(failures, err)
		}
	}
	for place, a := range p.places.All() {
		if _, had := before.Of(a); !had {
			failures = append(failures, p.SetTarget(loader.Target{Place: int(place), Addr: a}))
		}
	}
	p.fast.Lock()
	p.seats = p.places
	p.fast.Unlock()
	return errors.Join(failures...)
}

func (p *Path) isProved(addr netip.Addr) bool {
	p.fast.RLock()
	defer p.fast.RUnlock()
	return p.proved[addr]
}

// assign finds places, at the cost of those whose targets are gone if there are none
// left: their flows go first, lest they be sent to somebody else.
func (p *Path) assign(targets []Target) error {
	var addrs []netip.Addr
	for _, t := range targets {
		addrs = append(addrs, t.Addr)
	}
	err := p.places.Assign(addrs...)
	if !errors.Is(err, steering.ErrNoPlace) {
		return err
	}
	for place, a := range p.places.All() {
		if slices.Contains(addrs, a) {
			continue
		}
		// No more of them meanwhile.
		if err := p.SetTargetFlags(int(place), 0); err != nil {
			return err
		}
		if _, err := p.DeleteFlows(func(f loader.Flow) bool { return f.Place == int(place) }); err != nil {
			return err
		}
		p.places.Free(a)
	}
	return p.places.Assign(addrs...)
}

// route finds how a peer's haproxy is reached. Only a host on the same network can be
// sent frames; whoever has not told its hardware address yet is not an error.
func (p *Path) route(t *loader.Target, mac [6]byte) error {
	if mac == [6]byte{} {
		t.Flags = 0
		return nil
	}
	index, onLink, err := p.routes.OnLink(t.Addr)
	if err != nil {
		return fmt.Errorf("route to %v: %w", t.Addr, err)
	}
	if !onLink {
		return fmt.Errorf("%v is behind a router: no flow can be sent there", t.Addr)
	}
	iface, err := net.InterfaceByIndex(index)
	if err != nil {
		return fmt.Errorf("route to %v: %w", t.Addr, err)
	}
	if len(iface.HardwareAddr) != len(t.Source) {
		return fmt.Errorf("%v is behind %s, which is no Ethernet", t.Addr, iface.Name)
	}
	t.Ifindex, t.MAC, t.Source = index, mac, [6]byte(iface.HardwareAddr)
	return nil
}

// setSteering works out where new flows go, and swaps the tables if that has changed.
func (p *Path) setSteering(w Desired) error {
	var targets []steering.Target
	for _, t := range w.Targets {
		place, ok := p.places.Of(t.Addr)
		if !ok {
			continue
		}
		state := t.State
		if now := p.carried.targets[t.Addr]; !t.Local && now.Ifindex == 0 {
			state = steering.Down
		}
		targets = append(targets, steering.Target{
			Addr: t.Addr, Place: place, State: state, Serves: t.Serves, All: t.All, Local: t.Local,
		})
	}
	layout := p.planner.Plan(targets, w.Services, w.Policy)
	next := loader.Steering{Tables: layout.Tables}
	for _, s := range layout.Services {
		next.Services = append(next.Services, loader.Service{VIP: s.VIP, Port: s.Port, Proto: s.Proto, Set: s.Set, ID: s.ID})
	}
	if p.carried.published && sameSteering(next, p.carried.steering) {
		return nil
	}
	if len(layout.Overflow) > 0 {
		first := layout.Overflow[0]
		p.log.Warn("some services stay on the host their packets arrive at", "services", len(layout.Overflow), "first", first.Service, "reason", first.Limit)
	}
	if err := p.Publish(next); err != nil {
		return err
	}
	p.carried.steering, p.carried.published = next, true
	return nil
}

// sameSteering compares tables by identity first: the planner hands out the same ones
// again.
func sameSteering(a, b loader.Steering) bool {
	return slices.Equal(a.Services, b.Services) && slices.EqualFunc(a.Tables, b.Tables, func(x, y []uint8) bool {
		return &x[0] == &y[0] || slices.Equal(x, y)
	})
}

// Steering is what is in force, for status.
func (p *Path) Steering() loader.Steering {
	p.work.Lock()
	defer p.work.Unlock()
	return p.carried.steering
}
