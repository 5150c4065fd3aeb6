// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/health"
	"hafast/pkg/vrrp"
)

// errStopping answers a client that asks while the daemon goes down.
var errStopping = errors.New("hafast is stopping")

// backend answers the client commands; its methods run on the server's
// goroutines and ask the loop.
type backend struct {
	loop *loop
	// fleet is nil without a data path, and noFleet says why there is none.
	fleet   *fleetAdapters
	noFleet control.XDP
	sync    *replica
	// done ends when the loop does.
	done context.Context
}

var _ control.Backend = backend{}

// ask runs do on the loop and waits for it.
func (b backend) ask(ctx context.Context, do func(now time.Time)) error {
	answered := make(chan struct{})
	question := asked{func(now time.Time) {
		do(now)
		close(answered)
	}}
	select {
	case b.loop.events <- question:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done.Done():
		return errStopping
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done.Done():
		return errStopping
	}
}

// Status is what the daemon knows of this host and the others.
func (b backend) Status(ctx context.Context) (control.Status, error) {
	st, err := b.outline(ctx)
	if err == nil && b.fleet != nil {
		b.fleet.fillFlows(&st.XDP)
	}
	return st, err
}

// outline is the status but for the flows, which nobody has counted for it.
func (b backend) outline(ctx context.Context) (control.Status, error) {
	var st control.Status
	err := b.ask(ctx, func(now time.Time) { st = b.loop.status(now) })
	switch {
	case err != nil:
	case b.fleet != nil:
		b.fleet.fill(&st)
	default:
		st.XDP = b.noFleet
	}
	st.Sync = b.sync.status(namesOf(st.Targets))
	return st, err
}

// errNoFlows answers a client that asks for flows where there is no data path.
var errNoFlows = errors.New("there is no flow table: the data path is off")

// Flows lists the flow table.
func (b backend) Flows(ctx context.Context, yield func(control.Flow) error) error {
	if b.fleet == nil {
		return errNoFlows
	}
	st, err := b.outline(ctx)
	if err != nil {
		return err
	}
	return b.fleet.flows(ctx, st.Targets, yield)
}

func (b backend) Events(_ context.Context, since uint64) ([]control.Event, error) {
	return b.loop.journal.Since(since), nil
}

func (b backend) Subscribe(ctx context.Context) <-chan control.Event {
	return b.loop.journal.Subscribe(ctx)
}

// Drain takes the host out of service and waits for its successors.
func (b backend) Drain(ctx context.Context) (control.DrainResult, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := b.loop.journal.Subscribe(watching)

	var mine []string
	err := b.ask(ctx, func(now time.Time) {
		mine = b.loop.activeHere()
		b.loop.drain(now, true)
	})
	if err != nil {
		return control.DrainResult{}, err
	}
	for {
		var result control.DrainResult
		// The answer is owed even when ctx has just ended.
		err := b.ask(context.WithoutCancel(ctx), func(time.Time) { result = b.loop.handovers(mine) })
		if err != nil || len(result.Kept) == 0 || ctx.Err() != nil {
			b.countLeft(&result)
			return result, err
		}
		select {
		case <-changes:
		case <-ctx.Done():
		case <-b.done.Done():
			return result, errStopping
		}
	}
}

// countLeft adds the connections that are left. The kernel looks at every socket of the
// host for that, which is better not done while the VIPs move.
func (b backend) countLeft(result *control.DrainResult) {
	if b.fleet == nil {
		return
	}
	if n, err := b.fleet.connections(); err == nil {
		result.Connections = &n
	}
}

// Ready takes a drain back.
func (b backend) Ready(ctx context.Context) error {
	return b.ask(ctx, func(now time.Time) { b.loop.drain(now, false) })
}

// drain notes the operator's wish, also for a daemon that is started after this one.
func (l *loop) drain(now time.Time, drained bool) {
	if l.drained == drained {
		return
	}
	l.drained = drained
	if err := l.remember(drained); err != nil {
		l.log.Warn("a restart will not know of the drain", "error", err)
	}
	ev := control.Event{Kind: "ready", Cause: "the operator brought this host back into service"}
	if drained {
		ev = control.Event{Kind: "drain", Cause: "the operator drained this host"}
	}
	l.record(now, ev)
	l.score(now)
}

func (l *loop) activeHere() []string {
	var names []string
	for _, in := range l.instances {
		if l.router.State(in.Name) == vrrp.Active {
			names = append(names, in.Name)
		}
	}
	return names
}

// handovers tells what has become of instances that were Active here.
func (l *loop) handovers(names []string) control.DrainResult {
	var result control.DrainResult
	for _, in := range l.instances {
		if !slices.Contains(names, in.Name) {
			continue
		}
		h := control.Handover{Instance: in.Name, VIPs: in.vips()}
		machine := l.router.Machine(in.Name)
		if machine.State() == vrrp.Active {
			h.Reason = "no other host took over"
			result.Kept = append(result.Kept, h)
			continue
		}
		if a := machine.ActiveAddr(); a.IsValid() {
			h.To = a.String()
		}
		result.Moved = append(result.Moved, h)
	}
	return result
}

func (l *loop) status(now time.Time) control.Status {
	st := control.Status{
		Node: l.cfg.Node, Version: l.version, Uptime: now.Sub(l.started).Seconds(), Drained: l.drained,
	}
	for _, in := range l.instances {
		st.Instances = append(st.Instances, l.instanceStatus(in))
	}
	for _, c := range l.sortedChecks() {
		st.Checks = append(st.Checks, control.Check{Name: c.Check, Up: c.Up, Detail: c.Detail, Since: c.since})
	}
	if l.cfg.HAProxy.Mode != config.HAProxyOff {
		st.Targets = append(st.Targets, l.localTarget())
	}
	l.fleetStatus(&st)
	return st
}

func (l *loop) instanceStatus(in *instance) control.Instance {
	machine := l.router.Machine(in.Name)
	out := control.Instance{
		Name: in.Name, VRID: in.VRID, Interface: in.Interface, Version: in.Version,
		State: machine.State().String(), Reason: l.router.Fault(in.Name),
		Priority: in.Priority, EffectivePriority: machine.Priority(), OutOfService: in.outOfService,
		VIPs: in.vips(), Since: in.since, SyncGroup: in.group, Transitions: in.transitions,
	}
	if a := machine.ActiveAddr(); a.IsValid() {
		out.Active = a.String()
	}
	return out
}

// localTarget is this host's haproxy.
func (l *loop) localTarget() control.Target {
	t := control.Target{Node: l.cfg.Node, State: "unknown", Self: true}
	source := l.instances[0].source
	if l.fleet != nil {
		source = l.self(l.fleet)
	}
	if source.IsValid() {
		t.Address = source.String()
	}
	haproxy, known := l.checks[health.NameHAProxy]
	switch {
	case l.drained:
		t.State = "drain"
	case known && haproxy.Detail == health.NotTracked:
	case known && haproxy.Up:
		t.State = "up"
	case known:
		t.State = "down"
	}
	return t
}
