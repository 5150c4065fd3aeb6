// SPDX-License-Identifier: Apache-2.0

package vrrp_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hafast/pkg/vrrp"
)

// epoch is when every simulation starts.
var epoch = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// network is a few routers on a switch, under a virtual clock. Adverts go
// through the codec; a link keeps their order.
//
//	step ──> Router ──> []Output ──> perform ──> packets ──> Receive ──> Router
//	                                    └──> trace, holders
type network struct {
	now   time.Time
	hosts []*host
	wire  []packet
	last  map[link]time.Time // a link delivers in order
	cuts  map[link]bool
	// delay and lost decide over each packet.
	delay func() time.Duration
	lost  func() bool
	// problem is called when a router breaks a rule that always holds.
	problem func(format string, args ...any)
	// always is called after each thing that happens.
	always func()

	trace  strings.Builder
	shared map[string]*watch // by instance
}

// link is one direction between two hosts on one interface.
type link struct{ from, to, iface string }

type packet struct {
	at time.Time
	link
	vrrp.Packet
}

// host is a machine with one router process, or none while router is nil.
type host struct {
	name      string
	instances []vrrp.Instance
	sources   map[string]netip.Addr
	router    *vrrp.Router
	priority  map[string]uint8 // by the checks, which outlive the process
	sent      map[string]uint8 // the last priority of each instance
	holds     map[string]bool
	acquired  bool // ever
}

// watch books how long nobody, or more than one, held an instance's addresses.
type watch struct {
	holders      int
	since        time.Time
	none, shared time.Duration
}

func newNetwork() *network {
	return &network{
		now: epoch, last: make(map[link]time.Time), cuts: make(map[link]bool),
		delay:  func() time.Duration { return time.Millisecond },
		lost:   func() bool { return false },
		always: func() {},
		shared: make(map[string]*watch),
	}
}

func (n *network) host(name string) *host {
	for _, h := range n.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// add configures an instance on a host, which is made when it is new.
func (n *network) add(name string, in vrrp.Instance, source netip.Addr) {
	h := n.host(name)
	if h == nil {
		h = &host{name: name, sources: make(map[string]netip.Addr), priority: make(map[string]uint8)}
		n.hosts = append(n.hosts, h)
	}
	h.instances = append(h.instances, in)
	h.sources[in.Name] = source
	h.priority[in.Name] = in.Params.Priority
	if n.shared[in.Name] == nil {
		n.shared[in.Name] = &watch{since: n.now}
	}
}

// start runs a new router process on the host.
func (n *network) start(h *host) error {
	router, err := vrrp.NewRouter(h.instances)
	if err != nil {
		return err
	}
	h.router, h.sent, h.holds = router, make(map[string]uint8), make(map[string]bool)
	for _, in := range h.instances {
		n.step(h, in.Name, vrrp.SetSource{Addr: h.sources[in.Name]})
		n.step(h, in.Name, vrrp.SetPriority{Priority: h.priority[in.Name]})
	}
	for _, in := range h.instances {
		n.step(h, in.Name, vrrp.Start{})
	}
	return nil
}

// crash ends the process and takes the host off the network.
func (n *network) crash(h *host) {
	for name := range h.holds {
		n.hold(h, name, false)
	}
	h.router = nil
}

func (n *network) step(h *host, instance string, ev vrrp.Event) {
	if ev, ok := ev.(vrrp.SetPriority); ok {
		h.priority[instance] = ev.Priority
	}
	if h.router != nil {
		n.perform(h, h.router.Step(n.now, instance, ev))
	}
}

// run lets time pass.
func (n *network) run(d time.Duration) {
	end := n.now.Add(d)
	for {
		at, fire := n.next()
		if fire == nil || at.After(end) {
			n.now = end
			return
		}
		n.now = at
		fire()
		n.always()
	}
}

// next is the earliest thing to happen: a packet arrives, or a timer runs out.
func (n *network) next() (at time.Time, fire func()) {
	if len(n.wire) > 0 {
		at, fire = n.wire[0].at, n.deliver
	}
	for _, h := range n.hosts {
		if h.router == nil {
			continue
		}
		if due, ok := h.router.Deadline(); ok && (fire == nil || due.Before(at)) {
			at, fire = due, func() { n.tick(h) }
		}
	}
	return at, fire
}

func (n *network) tick(h *host) {
	out := h.router.Tick(n.now)
	if h.cadence(out) {
		for _, o := range out {
			n.send(h, o.Instance, h.sent[o.Instance])
		}
	} else {
		n.perform(h, out)
	}
	if due, ok := h.router.Deadline(); ok && !due.After(n.now) {
		n.problem("%s: after Tick at %s the next deadline is %s", h.name, n.clock(n.now), n.clock(due))
	}
}

func (n *network) deliver() {
	p := n.wire[0]
	n.wire = n.wire[1:]
	h := n.host(p.to)
	if h.router == nil || n.cuts[p.link] {
		return
	}
	_, out, err := h.router.Receive(n.now, p.iface, p.Packet)
	if err != nil {
		n.logf("%s: %v", h.name, err)
	}
	n.perform(h, out)
}

// cadence reports whether there is only what a quiet Active says each interval,
// which is not worth tracing.
func (h *host) cadence(outputs []vrrp.Output) bool {
	return !slices.ContainsFunc(outputs, func(o vrrp.Output) bool {
		send, ok := o.Action.(vrrp.Send)
		before, again := h.sent[o.Instance]
		return !ok || !again || before != send.Priority
	})
}

// perform carries actions out.
func (n *network) perform(h *host, outputs []vrrp.Output) {
	for _, out := range outputs {
		who := h.name
		if len(h.instances) > 1 {
			who += "/" + out.Instance
		}
		switch a := out.Action.(type) {
		case vrrp.Send:
			n.logf("%s: send priority %d", who, a.Priority)
			h.sent[out.Instance] = a.Priority
			n.send(h, out.Instance, a.Priority)
		case vrrp.Acquire:
			n.logf("%s: acquire", who)
			n.hold(h, out.Instance, true)
		case vrrp.Release:
			n.logf("%s: release", who)
			n.hold(h, out.Instance, false)
		case vrrp.Reannounce:
			n.logf("%s: reannounce against %s", who, a.Rival)
		case vrrp.Changed:
			peer := ""
			if a.Peer.IsValid() {
				peer = " " + a.Peer.String()
			}
			n.logf("%s: %s -> %s (%s%s)", who, a.From, a.To, a.Cause, peer)
		case vrrp.Noted:
			n.logf("%s: note: %s (%s)", who, a.Note, a.Peer)
		}
	}
}

func (n *network) send(h *host, instance string, priority uint8) {
	in := h.instances[slices.IndexFunc(h.instances, func(in vrrp.Instance) bool { return in.Name == instance })]
	src, dst := h.sources[instance], vrrp.Group4()
	if src.Is6() {
		dst = vrrp.Group6()
	}
	advert := in.Params.Advert(priority)
	payload, err := advert.AppendBinary(nil, src, dst, vrrp.ChecksumLegacy)
	if err != nil {
		n.problem("%s: encode: %v", h.name, err)
		return
	}
	for _, to := range n.hosts {
		l := link{h.name, to.name, in.Interface}
		if to == h || n.cuts[l] || n.lost() {
			continue
		}
		at := n.now.Add(n.delay())
		if at.Before(n.last[l]) {
			at = n.last[l]
		}
		n.last[l] = at
		n.wire = append(n.wire, packet{at, l, vrrp.Packet{Src: src, Dst: dst, TTL: vrrp.TTL, Payload: payload}})
	}
	slices.SortStableFunc(n.wire, func(a, b packet) int { return a.at.Compare(b.at) })
}

// hold books that a host has taken or released an instance's addresses.
func (n *network) hold(h *host, instance string, holds bool) {
	if h.holds[instance] == holds {
		return
	}
	h.holds[instance] = holds
	h.acquired = h.acquired || holds
	w := n.shared[instance]
	w.book(n.now)
	if holds {
		w.holders++
	} else {
		w.holders--
	}
}

func (w *watch) book(now time.Time) {
	switch d := now.Sub(w.since); {
	case w.holders == 0:
		w.none += d
	case w.holders > 1:
		w.shared += d
	}
	w.since = now
}

// summary tells who holds what, and how long that was nobody or more than one
// since the summary before.
func (n *network) summary() string {
	var b strings.Builder
	for _, instance := range slices.Sorted(maps.Keys(n.shared)) {
		w := n.shared[instance]
		w.book(n.now)
		who := n.holders(instance)
		fmt.Fprintf(&b, "%s %s: held by %s", n.clock(n.now), instance, cmp.Or(strings.Join(who, ", "), "nobody"))
		if w.none > 0 {
			fmt.Fprintf(&b, "; by nobody for %s", w.none)
		}
		if w.shared > 0 {
			fmt.Fprintf(&b, "; by several for %s", w.shared)
		}
		b.WriteByte('\n')
		w.none, w.shared = 0, 0
	}
	return b.String()
}

func (n *network) holders(instance string) []string {
	var who []string
	for _, h := range n.hosts {
		if h.router != nil && h.holds[instance] {
			who = append(who, h.name)
		}
	}
	return who
}

func (n *network) clock(at time.Time) string { return fmt.Sprintf("%10.6f", at.Sub(epoch).Seconds()) }

func (n *network) logf(format string, args ...any) {
	fmt.Fprintf(&n.trace, "%s ", n.clock(n.now))
	fmt.Fprintf(&n.trace, format, args...)
	n.trace.WriteByte('\n')
}

// take returns what was traced since the last time.
func (n *network) take() string {
	defer n.trace.Reset()
	return n.trace.String()
}
