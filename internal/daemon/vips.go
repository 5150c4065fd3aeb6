// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"hafast/internal/announce"
	"hafast/internal/control"
	"hafast/internal/metrics"
	"hafast/internal/ownership"
)

// vipReported books what became of an instance's addresses.
func (l *loop) vipReported(now time.Time, ev ownership.Event) {
	switch ev := ev.(type) {
	case ownership.Acquired:
		l.takeover(now, ev)
	case ownership.Released:
		l.log.Debug("addresses released", "instance", ev.Name, "took", ev.Duration)
	case ownership.Failed:
		if held, ok := l.quiet.Pass(now, "failed "+ev.Name); ok {
			l.record(now, control.Event{Kind: "failed", Instance: ev.Name, Cause: fmt.Sprintf("%s: %v; trying again (%d more unreported)", ev.Op, ev.Err, held)})
		}
	case ownership.Mended:
		l.metrics.VIPMended(ev.Name)
		l.record(now, control.Event{Kind: "mended", Instance: ev.Name, Cause: "somebody removed " + list(ev.Addrs) + " from " + ev.Interface + "; put back"})
	case ownership.Removed:
		l.metrics.VIPMended(ev.Name)
		l.record(now, control.Event{Kind: "mended", Instance: ev.Name, Cause: "somebody added " + list(ev.Addrs) + " to " + ev.Interface + " though this host is not active; removed"})
	case ownership.Contested:
		l.record(now, control.Event{Kind: "contested", Instance: ev.Name, Cause: fmt.Sprintf("somebody keeps changing %s on %s: is another address manager at work?", ev.Addr, ev.Interface)})
	}
}

// takeover books how long a promotion took, step by step.
func (l *loop) takeover(now time.Time, ev ownership.Acquired) {
	in := l.instance(ev.Name)
	if in == nil {
		return
	}
	steps := []struct {
		name string
		took time.Duration
	}{
		{metrics.PhaseDecide, in.late},
		{metrics.PhaseState, ev.Phases.State},
		{metrics.PhaseGate, ev.Phases.Gate},
		{metrics.PhaseAddress, ev.Phases.Address},
		{metrics.PhaseRoutes, ev.Phases.Routes},
		{metrics.PhaseAnnounce, ev.Phases.Announce},
		{metrics.PhaseTotal, ev.Phases.Total},
	}
	entry := control.Event{Kind: "takeover", Instance: in.Name, Cause: count(ev.Addresses) + " in place and announced"}
	for _, s := range steps {
		if s.took == 0 && s.name != metrics.PhaseDecide {
			continue // there is no such step here
		}
		l.metrics.TakeoverPhase(s.name, s.took)
		entry.Phases = append(entry.Phases, control.Phase{Name: s.name, Microseconds: float64(s.took.Nanoseconds()) / 1000})
	}
	in.late = 0 // that promotion is told of; the next may have had no timer
	l.record(now, entry)
}

func count(addresses int) string {
	if addresses == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", addresses)
}

// list shows the first few addresses; a thousand would fill the log.
func list(addrs []netip.Addr) string {
	const most = 3
	var names []string
	for _, a := range addrs[:min(len(addrs), most)] {
		names = append(names, a.String())
	}
	out := strings.Join(names, ", ")
	if more := len(addrs) - most; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

// countingAnnouncer counts what is announced.
type countingAnnouncer struct {
	*announce.Sender
	metrics *metrics.Metrics
}

// Announce counts what the Sender has put on the wire.
func (a countingAnnouncer) Announce(to announce.Interface, addrs []netip.Addr) (int, error) {
	n, err := a.Sender.Announce(to, addrs)
	if len(addrs) > 0 {
		kind := metrics.KindARP
		if addrs[0].Is6() { // an instance has one family
			kind = metrics.KindNA
		}
		a.metrics.Announced(kind, n)
	}
	return n, err
}
