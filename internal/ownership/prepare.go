// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"hafast/internal/config"
	"hafast/internal/link"
)

// ErrNoGuard is returned for an instance whose Accept is false where Deps has no
// Guard.
var ErrNoGuard = errors.New("accept: false needs nftables")

// Prepare makes the host ready to take the instances' VIPs: sysctls, devices for
// virtual MACs, every VIP on lo, and no VIP on an interface that a killed
// predecessor left there (but see Instance.Adopt).
//
// Called again it replaces the set: what is gone is taken down, what is new is
// set up, what has stayed keeps its state, and an Active instance that has
// changed is acquired anew by Run. The error joins what failed; the rest is done
// all the same, except that nothing goes on lo without the sysctls.
func (o *Owner) Prepare(instances []Instance) error {
	o.work.Lock()
	defer o.work.Unlock()
	before := o.holdings
	o.holdings, o.names = map[string]*holding{}, nil
	var failures []error
	var settings []link.Setting
	for _, i := range instances {
		h := &holding{Instance: i, places: i.places()}
		if old := before[i.Name]; old != nil {
			keep(h, old)
		}
		o.holdings[i.Name] = h
		o.names = append(o.names, i.Name)
		settings = append(settings, i.settings()...)
	}
	failures = append(failures, o.retire(before))
	// Before the first VIP is on lo, and without them none: a Backup would
	// answer for it.
	if err := o.deps.Sysctls.Apply(settings); err != nil {
		return errors.Join(append(failures, err)...)
	}
	failures = append(failures, o.guard())
	for _, name := range o.names {
		h := o.holdings[name]
		if err := o.establish(h, before[name]); err != nil {
			failures = append(failures, fmt.Errorf("instance %s: %w", name, err))
		}
	}
	return errors.Join(failures...)
}

// keep hands the state of an instance on to its new description.
func keep(h, old *holding) {
	h.condition, h.since = old.condition, old.since
	h.schedule, h.retry = old.schedule, old.retry
	h.answered, h.answer, h.own = old.answered, old.answer, old.own
}

// establish sets one instance up.
func (o *Owner) establish(h, old *holding) error {
	var failures []error
	if h.VirtualMAC != nil {
		failures = append(failures, o.ensureDevice(h))
	}
	_, err := o.deps.Addresses.AddAddresses(loopback, h.onLoopback())
	failures = append(failures, err)
	for _, p := range h.places {
		state, err := o.deps.Addresses.State(p.iface)
		if errors.Is(err, link.ErrNotFound) {
			continue
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		o.states[p.iface] = state
		if old == nil {
			failures = append(failures, o.inherit(h, p, state))
		}
	}
	if old != nil && old.condition == active && !reflect.DeepEqual(old.Instance, h.Instance) {
		o.Acquire(h.Name, o.deps.Now())
	}
	return errors.Join(failures...)
}

// inherit deals with VIPs that are on the interface before anybody put them there.
func (o *Owner) inherit(h *holding, p place, state link.State) error {
	var found []link.Address
	for _, prefix := range state.Addrs {
		if _, vip := p.prefixes[prefix.Addr()]; vip {
			found = append(found, link.Address{Prefix: prefix})
		}
	}
	if h.AddressOwner {
		h.own = map[netip.Addr]bool{}
		for _, a := range found {
			h.own[a.Prefix.Addr()] = true
		}
	}
	if len(found) == 0 || h.Adopt || h.AddressOwner {
		return nil
	}
	out, err := o.deps.Addresses.RemoveAddresses(p.iface, found)
	if len(out.Changed) > 0 {
		o.deps.Log.Info("removed addresses that were left behind", "instance", h.Name, "interface", p.iface, "addresses", len(out.Changed))
	}
	return err
}

// retire takes down what the new instances no longer have.
func (o *Owner) retire(before map[string]*holding) error {
	kept := map[spot]bool{}
	devices := map[string]bool{}
	for _, h := range o.holdings {
		for _, p := range h.places {
			for _, a := range p.addrs {
				kept[spot{p.iface, a.Prefix.Addr()}] = true
			}
		}
		for _, a := range h.onLoopback() {
			kept[spot{loopback, a.Prefix.Addr()}] = true
		}
		if h.VirtualMAC != nil {
			devices[h.VirtualMAC.Name] = true
		}
	}
	var failures []error
	remove := func(iface string, addrs []link.Address) {
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a link.Address) bool { return kept[spot{iface, a.Prefix.Addr()}] })
		_, err := o.deps.Addresses.RemoveAddresses(iface, addrs)
		failures = append(failures, err)
	}
	for name, old := range before {
		for _, p := range old.places {
			remove(p.iface, o.removable(old, p))
		}
		routes := slices.Clone(old.Routes)
		if now := o.holdings[name]; now != nil {
			routes = slices.DeleteFunc(routes, func(r config.Route) bool { return slices.Contains(now.Routes, r) })
		}
		if len(routes) > 0 {
			failures = append(failures, o.deps.Routes.RemoveRoutes(routes))
		}
		if old.VirtualMAC != nil && !devices[old.VirtualMAC.Name] {
			failures = append(failures, o.deps.Macvlans.RemoveMacvlan(old.VirtualMAC.Name))
		}
		remove(loopback, old.onLoopback())
	}
	return errors.Join(failures...)
}

// guard drops the traffic of the instances whose Accept is false.
func (o *Owner) guard() error {
	var deaf []netip.Addr
	for _, name := range o.names {
		h := o.holdings[name]
		for _, v := range h.VIPs {
			if !h.Accept {
				deaf = append(deaf, v.Prefix.Addr())
			}
		}
	}
	if o.deps.Guard == nil {
		if len(deaf) > 0 {
			return ErrNoGuard
		}
		return nil
	}
	return o.deps.Guard.Set(deaf)
}

// Withdraw takes everything off again: VIPs, routes, devices, the filter, and
// last, when no VIP is left to be answered for, the sysctls. All is tried; the
// error joins what failed.
func (o *Owner) Withdraw() error {
	o.work.Lock()
	defer o.work.Unlock()
	before := o.holdings
	o.holdings, o.names = map[string]*holding{}, nil
	return errors.Join(o.retire(before), o.guard(), o.deps.Sysctls.Restore())
}

// Leave is Withdraw for a host whose haproxy still holds connections to the VIPs: it
// no longer answers for them, but they stay on lo, and the sysctls that keep lo
// silent stay too. A later Withdraw takes these off.
func (o *Owner) Leave() error {
	o.work.Lock()
	defer o.work.Unlock()
	var failures []error
	for _, name := range o.names {
		h := o.holdings[name]
		for _, ev := range o.release(h) {
			if failed, ok := ev.(Failed); ok {
				failures = append(failures, failed.Err)
			}
		}
	}
	return errors.Join(failures...)
}
