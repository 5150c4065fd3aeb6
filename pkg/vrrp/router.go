// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Instance is one virtual router's place in a [Router].
type Instance struct {
	// Name is unique in the router.
	Name string
	// Interface is where the advertisements come in and go out.
	Interface string
	// Group names the sync group; empty for none. Members change state together,
	// and so need the same priority: if they disagree about who is best, the group
	// moves back and forth.
	Group string
	// Peers, if there are any, are the only routers that are listened to (unicast).
	Peers  []netip.Addr
	Params Params
}

// Output is an action of one instance.
type Output struct {
	Instance string
	Action   Action
}

// Router is all virtual routers of a host. It is not safe for concurrent use.
type Router struct {
	members []*member
	// lives is what is known of the sources of adverts by other means.
	lives map[netip.Addr]Life
}

type member struct {
	Instance
	machine *Machine
	// fault and priority are the member's own; what its machine is told also
	// depends on the rest of the group.
	fault    string
	priority uint8
	started  bool
}

// NewRouter returns a router whose instances are all in Init. Two instances of
// one interface, family and VRID are an error.
func NewRouter(instances []Instance) (*Router, error) {
	r := new(Router)
	for _, in := range instances {
		if err := r.add(in); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Router) add(in Instance) error {
	for _, m := range r.members {
		if m.Name == in.Name {
			return fmt.Errorf("two instances are named %s", in.Name)
		}
		if m.Interface == in.Interface && m.ipv6() == isIPv6(in.Params) && m.Params.VRID == in.Params.VRID {
			return fmt.Errorf("instances %s and %s share VRID %d on %s", m.Name, in.Name, in.Params.VRID, in.Interface)
		}
	}
	r.members = append(r.members, &member{Instance: in, machine: NewMachine(in.Params), priority: in.Params.Priority})
	return nil
}

func isIPv6(p Params) bool { return len(p.Addresses) > 0 && p.Addresses[0].Is6() }

func (m *member) ipv6() bool { return isIPv6(m.Params) }

// Machine returns the named instance's state machine, to be read; nil if there is none.
func (r *Router) Machine(name string) *Machine {
	if m := r.member(name); m != nil {
		return m.machine
	}
	return nil
}

// State is where the named instance stands; Init if there is none.
func (r *Router) State(name string) State {
	if m := r.member(name); m != nil {
		return m.machine.State()
	}
	return Init
}

// Fault returns why the named instance cannot take part, empty when it can.
func (r *Router) Fault(name string) string {
	m := r.member(name)
	if m == nil {
		return ""
	}
	return r.groupFault(m)
}

func (r *Router) member(name string) *member {
	for _, m := range r.members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// group returns the members that change state together with m, m among them.
func (r *Router) group(m *member) []*member {
	if m.Group == "" {
		return []*member{m}
	}
	var all []*member
	for _, other := range r.members {
		if other.Group == m.Group {
			all = append(all, other)
		}
	}
	return all
}

// Deadline is when [Router.Tick] is next due; false while no timer runs.
func (r *Router) Deadline() (time.Time, bool) {
	var next time.Time
	var running bool
	for _, m := range r.members {
		if at, ok := m.machine.Deadline(); ok && (!running || at.Before(next)) {
			next, running = at, true
		}
	}
	return next, running
}

// Tick fires all timers that are due, and with them adverts that are due within
// a small part of their interval: 255 instances would otherwise wake the host for
// each of theirs. The next advert is due when it would have been.
func (r *Router) Tick(now time.Time) []Output {
	var out []Output
	for _, m := range r.members {
		at, running := m.machine.Deadline()
		if !running {
			continue
		}
		switch early := at.Sub(now); {
		case early <= 0:
			if r.lives[m.machine.ActiveAddr()] == LifeUp {
				m.machine.bear()
			}
			out = append(out, r.step(now, m, Tick{})...)
		case m.machine.advertising() && early <= m.Params.Interval/advertSlack:
			out = append(out, r.step(at, m, Tick{})...)
		}
	}
	return out
}

// advertSlack is the part of its interval by which an advert may come early.
const advertSlack = 64

// Receive takes a packet from the named interface to the instance it is meant
// for. The error is a [Reject]; the name is empty when no instance was found.
func (r *Router) Receive(now time.Time, iface string, p Packet) (name string, out []Output, err error) {
	advert, err := Parse(p)
	if err != nil {
		return "", nil, err
	}
	m := r.find(iface, advert.VRID, p.Src.Is6())
	if m == nil {
		return "", nil, RejectUnknownVRID
	}
	if err := m.accepts(advert, p.Src); err != nil {
		return m.Name, nil, err
	}
	if r.lives[p.Src] == LifeDown {
		return m.Name, nil, RejectPeerDown
	}
	return m.Name, r.step(now, m, Received{Advert: advert, From: p.Src}), nil
}

func (r *Router) find(iface string, vrid uint8, ipv6 bool) *member {
	for _, m := range r.members {
		if m.Params.VRID == vrid && m.Interface == iface && m.ipv6() == ipv6 {
			return m
		}
	}
	return nil
}

// StepAll applies an event to all instances, each for itself.
func (r *Router) StepAll(now time.Time, ev Event) []Output {
	var out []Output
	for _, m := range r.members {
		out = append(out, tag(m.Name, m.machine.Step(now, ev))...)
	}
	return out
}

// accepts checks what depends on the configuration (RFC 9568 section 7.1, RFC
// 3768 section 7.1).
func (m *member) accepts(a Advert, from netip.Addr) error {
	p := m.Params
	switch {
	case from == m.machine.source:
		return RejectOwn
	case len(m.Peers) > 0 && !slices.Contains(m.Peers, from):
		return RejectPeer
	case a.Version != p.Version:
		return RejectVersion
	case a.Version == 2 && a.Interval != p.Interval:
		return RejectInterval
	case a.Version == 2 && a.Password != p.Password:
		return RejectAuth
	}
	return nil
}

// Step applies an event to the named instance, and what follows from it to its
// sync group. An unknown name is ignored: the event may have crossed a reload.
func (r *Router) Step(now time.Time, name string, ev Event) []Output {
	m := r.member(name)
	if m == nil {
		return nil
	}
	switch ev := ev.(type) {
	case Start:
		m.started = true
		if r.groupFault(m) != "" {
			return r.step(now, m, SetFault{})
		}
		out := r.step(now, m, ev)
		if slices.ContainsFunc(r.group(m), (*member).leads) {
			out = append(out, r.step(now, m, Promote{})...)
		}
		return out
	case Stop:
		m.started = false
	case SetFault:
		m.fault = ev.Reason
		return r.spreadFault(now, m)
	case Recover:
		m.fault = ""
		return r.spreadFault(now, m)
	case SetPriority:
		m.priority = ev.Priority
		return r.spreadPriority(now, m)
	}
	return r.step(now, m, ev)
}

// Reconfigure replaces the instances. Those that stay keep their state; new ones
// are in Init, and those that are gone stop at once.
func (r *Router) Reconfigure(now time.Time, instances []Instance) ([]Output, error) {
	next, err := NewRouter(instances)
	if err != nil {
		return nil, err
	}
	var out []Output
	for _, old := range r.members {
		m := next.member(old.Name)
		if m == nil || !m.continues(old) {
			out = append(out, r.remove(now, old)...)
			continue
		}
		m.machine, m.fault, m.priority, m.started = old.machine, old.fault, old.priority, old.started
		out = append(out, tag(m.Name, m.machine.Step(now, Reconfigure{m.Params}))...)
	}
	r.members = next.members
	// Groups may have lost the member that kept the others down.
	for _, m := range r.members {
		if r.group(m)[0] == m {
			out = append(out, r.spreadFault(now, m)...)
			out = append(out, r.spreadPriority(now, m)...)
		}
	}
	return out, nil
}

// continues reports whether m is the same virtual router as old on the wire.
func (m *member) continues(old *member) bool {
	return m.Interface == old.Interface && m.ipv6() == old.ipv6() &&
		m.Params.VRID == old.Params.VRID && m.Params.Version == old.Params.Version
}

// leads reports whether m is Active and stays so.
func (m *member) leads() bool { return m.machine.State() == Active && !m.machine.Leaving() }

func (r *Router) remove(now time.Time, m *member) []Output {
	var out []Output
	if m.machine.State() == Active {
		out = tag(m.Name, m.machine.Step(now, Yield{}))
	}
	return append(out, tag(m.Name, m.machine.Step(now, Stop{}))...)
}

// step runs one machine and moves the rest of its group after it.
func (r *Router) step(now time.Time, m *member, ev Event) []Output {
	before := m.machine.State()
	out := tag(m.Name, m.machine.Step(now, ev))
	var follow Event
	switch after := m.machine.State(); {
	case before == after:
		return out
	case after == Active:
		follow = Promote{}
	case before == Active && after == Backup:
		follow = Yield{}
	default:
		return out
	}
	for _, other := range r.group(m) {
		if other != m {
			out = append(out, tag(other.Name, other.machine.Step(now, follow))...)
		}
	}
	return out
}

// groupFault is the first fault of m's group, m's own before the others'.
func (r *Router) groupFault(m *member) string {
	if m.fault != "" {
		return m.fault
	}
	for _, other := range r.group(m) {
		if other.fault != "" {
			return fmt.Sprintf("sync group %s: %s: %s", m.Group, other.Name, other.fault)
		}
	}
	return ""
}

func (r *Router) spreadFault(now time.Time, m *member) []Output {
	var out []Output
	for _, other := range r.group(m) {
		if !other.started {
			continue
		}
		var ev Event = Recover{}
		if reason := r.groupFault(other); reason != "" {
			ev = SetFault{Reason: reason}
		}
		out = append(out, r.step(now, other, ev)...)
	}
	return out
}

// spreadPriority takes the whole group out of service with one of its members.
func (r *Router) spreadPriority(now time.Time, m *member) []Output {
	group := r.group(m)
	out := slices.ContainsFunc(group, func(o *member) bool { return o.priority == PriorityStop })
	var outputs []Output
	for _, other := range group {
		priority := other.priority
		if out {
			priority = PriorityStop
		}
		outputs = append(outputs, r.step(now, other, SetPriority{priority})...)
	}
	return outputs
}

func tag(name string, actions []Action) []Output {
	out := make([]Output, len(actions))
	for i, a := range actions {
		out[i] = Output{Instance: name, Action: a}
	}
	return out
}
