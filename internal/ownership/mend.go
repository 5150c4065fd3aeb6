// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"hafast/internal/announce"
	"hafast/internal/link"
)

// look takes new interface states in and corrects what is not as it ought to be.
func (o *Owner) look(changes map[string]link.Change) []Event {
	now := o.deps.Now()
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		c := changes[name]
		before, known := o.states[name]
		if !c.Present {
			// Its addresses went with it. The daemon decides what that means.
			delete(o.states, name)
			continue
		}
		o.states[name] = c.State
		if !known || before.Index != c.State.Index {
			o.furnish(name)
		}
		moved := known && !bytes.Equal(before.MAC, c.State.MAC)
		cameUp := known && !before.Up && c.State.Up
		if moved || cameUp {
			o.restart(name, now)
		}
		events = append(events, o.mend(name, now)...)
	}
	return events
}

// furnish gives a new interface what Prepare gave its predecessor.
func (o *Owner) furnish(iface string) {
	for _, name := range o.names {
		h := o.holdings[name]
		if !slices.Contains(Interfaces([]Instance{h.Instance}), iface) {
			continue
		}
		if h.VirtualMAC != nil && h.VirtualMAC.Parent == iface {
			if err := o.ensureDevice(h); err != nil {
				o.deps.Log.Warn("virtual mac device cannot be made", "instance", name, "error", err)
			}
		}
		if err := o.deps.Sysctls.Apply(h.settings()); err != nil {
			o.deps.Log.Warn("sysctls cannot be set", "instance", name, "interface", iface, "error", err)
		}
	}
}

// restart begins the announcements anew: the neighbours, or the switch, know
// nothing of this port or MAC yet.
func (o *Owner) restart(iface string, now time.Time) {
	for _, h := range o.holdings {
		if h.condition == active && slices.Contains(Interfaces([]Instance{h.Instance}), iface) {
			h.schedule = announce.NewSchedule(h.Announce, now)
		}
	}
}

// mendAll corrects everything, as far as it is known.
func (o *Owner) mendAll() []Event {
	now := o.deps.Now()
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(o.states)) {
		events = append(events, o.mend(name, now)...)
	}
	return events
}

// mend corrects the VIPs of one interface.
func (o *Owner) mend(iface string, now time.Time) []Event {
	state, known := o.states[iface]
	if !known {
		return nil
	}
	have := make(map[netip.Addr]netip.Prefix, len(state.Addrs))
	for _, prefix := range state.Addrs {
		have[prefix.Addr()] = prefix
	}
	var events []Event
	for _, name := range o.names {
		h := o.holdings[name]
		if iface == loopback {
			events = append(events, o.restore(h, nil, iface, have, h.onLoopback(), now)...)
			continue
		}
		for i := range h.places {
			p := &h.places[i]
			if p.iface != iface {
				continue
			}
			switch h.condition {
			case active:
				// A link that is down takes no harm from waiting, and an Acquire
				// that is incomplete has its own retries.
				if state.Up && !h.retry.pending() {
					events = append(events, o.restore(h, p, iface, have, p.addrs, now)...)
				}
			case backup:
				events = append(events, o.expel(h, p, have, now)...)
			case undecided:
			}
		}
	}
	return events
}

// restore puts back the addresses that the interface lacks, and announces them.
// p is nil for lo, where nothing is announced.
func (o *Owner) restore(h *holding, p *place, iface string, have map[netip.Addr]netip.Prefix, wanted []link.Address, now time.Time) []Event {
	var events []Event
	var missing []link.Address
	for _, a := range wanted {
		addr := a.Prefix.Addr()
		if _, there := have[addr]; !there && o.allowed(h, spot{iface, addr}, now, &events) {
			missing = append(missing, a)
		}
	}
	if len(missing) == 0 {
		return events
	}
	out, err := o.deps.Addresses.AddAddresses(iface, missing)
	if err != nil {
		o.deps.Log.Warn("address cannot be put back", "instance", h.Name, "error", err)
		o.recheckAt(now.Add(time.Second))
	}
	// What was there all the time was only missing in an old report.
	if len(out.Changed) == 0 {
		return events
	}
	o.spend(iface, out.Changed, now)
	if p != nil {
		if err := o.announce(h, *p, out.Changed); err != nil {
			o.deps.Log.Warn("announcement failed", "instance", h.Name, "error", err)
		}
	}
	return append(events, Mended{Name: h.Name, Interface: iface, Addrs: out.Changed})
}

// expel removes VIPs from the interface of a host that is not Active, whatever
// prefix length they were given.
func (o *Owner) expel(h *holding, p *place, have map[netip.Addr]netip.Prefix, now time.Time) []Event {
	var events []Event
	var strays []link.Address
	for _, a := range p.addrs {
		addr := a.Prefix.Addr()
		prefix, there := have[addr]
		if !there || h.own[addr] {
			continue
		}
		if o.allowed(h, spot{p.iface, addr}, now, &events) {
			strays = append(strays, link.Address{Prefix: prefix})
		}
	}
	if len(strays) == 0 {
		return events
	}
	out, err := o.deps.Addresses.RemoveAddresses(p.iface, strays)
	if err != nil {
		o.deps.Log.Warn("address cannot be removed", "instance", h.Name, "error", err)
		o.recheckAt(now.Add(time.Second))
	}
	if len(out.Changed) == 0 {
		return events
	}
	o.spend(p.iface, out.Changed, now)
	return append(events, Removed{Name: h.Name, Interface: p.iface, Addrs: out.Changed})
}

// allowed reports whether the spot may be corrected now; if not, it is looked at
// again when it may, and the contest is reported.
func (o *Owner) allowed(h *holding, s spot, now time.Time, events *[]Event) bool {
	ok, until, first := o.budgets.left(s, now)
	if ok {
		return true
	}
	o.recheckAt(until)
	if first {
		*events = append(*events, Contested{Name: h.Name, Interface: s.iface, Addr: s.addr})
	}
	return false
}

func (o *Owner) spend(iface string, addrs []netip.Addr, now time.Time) {
	for _, a := range addrs {
		o.budgets.spend(spot{iface, a}, now)
	}
}

func (o *Owner) recheckAt(t time.Time) {
	if o.recheck.IsZero() || t.Before(o.recheck) {
		o.recheck = t
	}
}

// ensureDevice makes the macvlan device of a virtual MAC and its settings. A
// parent that is not there is no error: the device comes with it.
func (o *Owner) ensureDevice(h *holding) error {
	err := o.deps.Macvlans.EnsureMacvlan(h.VirtualMAC.Parent, h.VirtualMAC.Name, h.VirtualMAC.MAC)
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	delete(o.states, h.VirtualMAC.Name)
	return o.deps.Sysctls.Apply(link.ForMacvlan(h.VirtualMAC.Name))
}
