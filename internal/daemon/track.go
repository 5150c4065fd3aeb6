// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"slices"
	"strings"
	"time"

	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/health"
	"hafast/internal/metrics"
	"hafast/pkg/vrrp"
)

// check is what the loop knows of a health check.
type check struct {
	health.Update
	since time.Time
}

// checkUpdated books a result and lets the instances that depend on it know.
func (l *loop) checkUpdated(now time.Time, u health.Update) {
	old, known := l.checks[u.Check]
	c := check{Update: u, since: old.since}
	if !known || old.Up != u.Up {
		c.since = now
	}
	l.checks[u.Check] = c
	l.metrics.CheckUp(u.Check, u.Up)
	if u.Check == health.NameHAProxy && u.Detail != health.NotTracked {
		l.metrics.HAProxyUp(u.Up)
		if known && u.Up && old.Detail != health.NotTracked {
			l.metrics.HAProxyRestarted()
		}
	}
	// The election first: the journal can wait.
	if l.begun {
		l.score(now)
	} else {
		l.resumeIfKnown(now)
	}
	if u.Check == health.NameHAProxy && l.fleet != nil {
		l.lookAround()
	}
	state := "down"
	if u.Up {
		state = "up"
	}
	l.record(now, control.Event{Kind: "health", To: state, Cause: u.Check + ": " + u.Detail})
}

// score works out every instance's priority and tells the election what is new.
func (l *loop) score(now time.Time) {
	for _, in := range l.instances {
		effective, reason := health.Score(in.Priority, l.checksOf(in))
		if l.drained {
			effective, reason = vrrp.PriorityStop, "drained by the operator"
		}
		in.outOfService = reason
		if effective == in.effective {
			continue
		}
		in.effective = effective
		l.perform(now, l.router.Step(now, in.Name, vrrp.SetPriority{Priority: effective}))
	}
	l.reconcile()
	l.showAll()
}

// checksOf lists what an instance's priority depends on. The members of a sync
// group share what they track: a weight on one alone would have them disagree
// about who should be Active, for ever.
//
// A check that has not answered yet is down: a host that does not know whether
// it can serve must not take over from one that does.
func (l *loop) checksOf(in *instance) []health.Check {
	var out []health.Check
	add := func(c health.Check) {
		if !slices.ContainsFunc(out, func(o health.Check) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	if h := l.cfg.HAProxy; h.Mode != config.HAProxyOff {
		add(l.result(health.NameHAProxy, h.Weight))
		if h.Socket != "" {
			add(l.result(health.NameSocket, h.Weight))
		}
	}
	for _, member := range l.membersOf(in) {
		for _, t := range member.Track.Scripts {
			add(l.result(health.ScriptName(t.Name), l.scriptWeight(t)))
		}
		for _, t := range member.Track.Processes {
			add(l.result(health.ProcessName(t.Name), t.Weight))
		}
		for _, t := range member.Track.Files {
			file := l.result(health.FileName(t.Path), t.Weight)
			file.Kind = health.KindFile
			add(file)
		}
		for _, t := range member.Track.Interfaces {
			if t.Weight != 0 { // without a weight it is a fault, see condition
				add(health.Check{Name: "interface " + t.Name, Up: l.links[t.Name].Up, Weight: t.Weight})
			}
		}
	}
	return out
}

// noResult stands in for what a check has not found yet.
const noResult = "no result yet"

// result is what a check has found last, as an instance with this weight sees it.
func (l *loop) result(name string, weight int) health.Check {
	c, known := l.checks[name]
	if !known {
		c.Detail = noResult
	}
	return health.Check{Name: name, Up: c.Up, Value: c.Value, Weight: weight, Detail: c.Detail}
}

// membersOf lists the instance itself and then the rest of its sync group.
func (l *loop) membersOf(in *instance) []*instance {
	members := []*instance{in}
	for _, other := range l.instances {
		if in.group != "" && other != in && other.group == in.group {
			members = append(members, other)
		}
	}
	return members
}

// scriptWeight is the instance's own weight for the script, or else the script's.
func (l *loop) scriptWeight(t config.TrackScript) int {
	if t.Weight != nil {
		return *t.Weight
	}
	for _, s := range l.cfg.Scripts {
		if s.Name == t.Name {
			return s.Weight
		}
	}
	return 0
}

// forgetChecks drops the results of checks that the configuration no longer has.
func (l *loop) forgetChecks() {
	wanted := make(map[string]bool)
	for _, in := range l.instances {
		for _, c := range l.checksOf(in) {
			wanted[c.Name] = true
		}
	}
	maps.DeleteFunc(l.checks, func(name string, _ check) bool { return !wanted[name] })
	if l.cfg.HAProxy.Mode == config.HAProxyOff {
		l.metrics.HAProxyUnwatched()
	}
	names := make([]string, len(l.instances))
	for i, in := range l.instances {
		names[i] = in.Name
	}
	l.metrics.Retain(names, slices.Collect(maps.Keys(l.checks)))
}

func (l *loop) sortedChecks() []check {
	return slices.SortedFunc(maps.Values(l.checks), func(a, b check) int { return strings.Compare(a.Check, b.Check) })
}

// showAll keeps the gauges of all instances up to date.
func (l *loop) showAll() {
	for _, in := range l.instances {
		l.showState(in)
	}
}

func (l *loop) showState(in *instance) {
	machine := l.router.Machine(in.Name)
	if machine == nil {
		return
	}
	shown := metrics.Instance{
		Name: in.Name, VRID: in.VRID, Interface: in.Interface, State: machine.State().String(),
		Priority: in.Priority, Effective: machine.Priority(), OutOfService: machine.Priority() == vrrp.PriorityStop,
	}
	if shown != in.shown {
		in.shown = shown
		l.metrics.SetInstance(shown)
	}
}
