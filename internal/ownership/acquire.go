// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hafast/internal/announce"
	"hafast/internal/link"
)

// acquire takes the VIPs: what is known of their connections, gate, addresses, routes,
// announcement. No packet may come for a connection that is not known yet, nobody may
// hear of an address that is not there yet or cannot be asked for, and replies need
// their routes.
//
// What fails does not keep the rest back: nine of ten VIPs served are better
// than none while the tenth is tried again.
func (o *Owner) acquire(h *holding) []Event {
	h.condition = active
	since := h.since
	if since.IsZero() {
		since = o.deps.Now()
	}
	var got taking
	if o.deps.Connections != nil {
		start := o.deps.Now()
		o.deps.Connections.Settle(h.vips())
		got.phases.State = o.deps.Now().Sub(start)
	}
	if o.deps.Gate != nil {
		start := o.deps.Now()
		o.deps.Gate.OpenGate(h.Name)
		got.phases.Gate = o.deps.Now().Sub(start)
	}
	for _, batch := range h.batches() {
		o.take(h, batch, &got)
	}
	done := o.deps.Now()
	got.phases.Total = done.Sub(since)

	h.schedule = announce.NewSchedule(h.Announce, done)
	h.schedule.Due(done) // the first one has just been sent
	h.answered = done
	if err := errors.Join(got.failures...); err != nil {
		return []Event{Failed{Name: h.Name, Op: "acquire", Err: err, InPlace: got.inPlace, Retry: h.retry.fail(done)}}
	}
	h.retry.reset()
	return []Event{Acquired{Name: h.Name, Phases: got.phases, Addresses: len(got.inPlace)}}
}

// taking is how far an acquire has come.
type taking struct {
	phases   Phases
	inPlace  []netip.Addr
	failures []error
}

// take puts a batch in place and announces it.
func (o *Owner) take(h *holding, batch []place, got *taking) {
	start := o.deps.Now()
	var missing []netip.Addr
	for _, p := range batch {
		out, err := o.add(h, p)
		missing = append(missing, out.Failed...)
		got.failures = append(got.failures, err)
	}
	addressed := o.deps.Now()
	got.phases.Address += addressed.Sub(start)
	if len(h.Routes) > 0 {
		got.failures = append(got.failures, o.deps.Routes.AddRoutes(h.Routes))
		got.phases.Routes += o.deps.Now().Sub(addressed)
	}
	routed := o.deps.Now()
	for _, p := range batch {
		addrs := p.list(func(a netip.Addr) bool { return !slices.Contains(missing, a) })
		got.inPlace = append(got.inPlace, addrs...)
		got.failures = append(got.failures, o.announce(h, p, addrs))
	}
	got.phases.Announce += o.deps.Now().Sub(routed)
}

// batchSize is how many addresses are put in place before they are announced. The
// kernel takes longer for each address the more there are, a second for a
// thousand of IPv6: the first ones need not wait for the last.
const batchSize = 64

// batches cuts the places up. An instance with routes is one batch: a route may
// need any of the addresses.
func (h *holding) batches() [][]place {
	if len(h.Routes) > 0 {
		return [][]place{h.places}
	}
	var out [][]place
	for _, p := range h.places {
		for addrs := range slices.Chunk(p.addrs, batchSize) {
			part := p
			part.addrs = addrs
			out = append(out, []place{part})
		}
	}
	return out
}

// add puts a place's addresses on its interface. A macvlan device that went with
// its parent is made anew first.
func (o *Owner) add(h *holding, p place) (link.Outcome, error) {
	out, err := o.deps.Addresses.AddAddresses(p.iface, p.addrs)
	if h.VirtualMAC == nil || p.iface != h.VirtualMAC.Name || !errors.Is(err, link.ErrNotFound) {
		return out, err
	}
	if err := o.ensureDevice(h); err != nil {
		return out, err
	}
	return o.deps.Addresses.AddAddresses(p.iface, p.addrs)
}

// release gives the VIPs up: gate closed, no more announcements, addresses off,
// routes off.
func (o *Owner) release(h *holding) []Event {
	start := o.deps.Now()
	if o.deps.Gate != nil {
		o.deps.Gate.CloseGate(h.Name)
	}
	h.condition = backup
	h.schedule = nil
	h.answer = time.Time{}
	var failures []error
	for _, p := range h.places {
		_, err := o.deps.Addresses.RemoveAddresses(p.iface, o.removable(h, p))
		failures = append(failures, err)
	}
	if len(h.Routes) > 0 {
		failures = append(failures, o.deps.Routes.RemoveRoutes(h.Routes))
	}
	done := o.deps.Now()
	if err := errors.Join(failures...); err != nil {
		return []Event{Failed{Name: h.Name, Op: "release", Err: err, Retry: h.retry.fail(done)}}
	}
	h.retry.reset()
	return []Event{Released{Name: h.Name, Duration: done.Sub(start)}}
}

// removable are a place's addresses without those that are the host's own.
func (o *Owner) removable(h *holding, p place) []link.Address {
	return slices.DeleteFunc(slices.Clone(p.addrs), func(a link.Address) bool { return h.own[a.Prefix.Addr()] })
}

// repeat announces all VIPs once more. Failures are logged only: the schedule
// goes on, and a link that is down is the daemon's matter.
func (o *Owner) repeat(h *holding) {
	for _, p := range h.places {
		if err := o.announce(h, p, p.list(nil)); err != nil {
			o.deps.Log.Warn("announcement failed", "instance", h.Name, "error", err)
		}
	}
}

// announce sends one announcement per address. What is known of the interface
// may be out of date, so that a failure makes it look again.
func (o *Owner) announce(h *holding, p place, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	if to, err := o.target(h, p); err == nil {
		if _, err := o.deps.Announcer.Announce(to, addrs); err == nil {
			return nil
		}
	}
	for _, name := range h.interfaces(p) {
		delete(o.states, name)
	}
	to, err := o.target(h, p)
	if err != nil {
		return fmt.Errorf("announce on %s: %w", p.iface, err)
	}
	_, err = o.deps.Announcer.Announce(to, addrs)
	return err
}

// target says where a place's announcements go and what they say.
func (o *Owner) target(h *holding, p place) (announce.Interface, error) {
	state, err := o.state(p.iface)
	if err != nil {
		return announce.Interface{}, err
	}
	to := announce.Interface{Name: p.iface, Index: state.Index, MAC: state.MAC}
	isVIP := func(a netip.Addr) bool { _, ok := p.prefixes[a]; return ok }
	if h.VirtualMAC != nil && p.iface == h.VirtualMAC.Name {
		// The device has no link-local address; its parent's is the router's.
		to.MAC = h.VirtualMAC.MAC
		if state, err = o.state(h.VirtualMAC.Parent); err != nil {
			return announce.Interface{}, err
		}
	}
	to.LinkLocal = state.LinkLocal6(isVIP)
	return to, nil
}

// interfaces names those that announcements for the place depend on.
func (h *holding) interfaces(p place) []string {
	if h.VirtualMAC != nil && p.iface == h.VirtualMAC.Name {
		return []string{p.iface, h.VirtualMAC.Parent}
	}
	return []string{p.iface}
}

// state is an interface as last reported, or as it is.
func (o *Owner) state(iface string) (link.State, error) {
	if s, ok := o.states[iface]; ok {
		return s, nil
	}
	s, err := o.deps.Addresses.State(iface)
	if err != nil {
		return link.State{}, err
	}
	o.states[iface] = s
	return s, nil
}

// vips are those of all places.
func (h *holding) vips() []netip.Addr {
	var out []netip.Addr
	for _, p := range h.places {
		out = append(out, p.list(nil)...)
	}
	return out
}

// list is the place's addresses that keep holds for; all if keep is nil.
func (p place) list(keep func(netip.Addr) bool) []netip.Addr {
	out := make([]netip.Addr, 0, len(p.addrs))
	for _, a := range p.addrs {
		if keep == nil || keep(a.Prefix.Addr()) {
			out = append(out, a.Prefix.Addr())
		}
	}
	return out
}
