// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"hafast/internal/throttle"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/record"
	"hafast/pkg/conntrack/wire"
	"hafast/pkg/loader"
)

// FlowPath is the data path's part that flows are replicated with; *datapath.Path is one.
type FlowPath interface {
	ListenFlows(on bool)
	FlowEvents(into []loader.FlowEvent) (n int, lost uint64, err error)
	ApplyReplicas([]loader.Replica) error
	NextGeneration() uint32
	SweepReplicas(before uint32) *loader.Sweep
	Walk() *loader.Walk
	// Place and PlaceOf translate between targets and what flows remember them by.
	Place(target netip.Addr) (place int, ok bool)
	PlaceOf(place int) (target netip.Addr, ok bool)
}

// flowTable is the data path's flow table as the engine needs it.
type flowTable struct {
	path   FlowPath
	log    *slog.Logger
	events []loader.FlowEvent
	news   record.Flow // in hand
	// begun is the generation that was new at a peer's last Begin.
	begun    map[netip.Addr]uint32
	replicas []loader.Replica
	told     []int // places of replicas among the changes
	// strangers are targets of flows that were told before this host knew them, as when
	// it has just started. What was told of them is asked for again.
	strangers map[record.Address]struct{}
	failed    throttle.Throttle
}

// maxStrangers bounds them: more hosts than that share no flows.
const maxStrangers = loader.MaxTargets

func newFlowTable(path FlowPath, log *slog.Logger) *flowTable {
	return &flowTable{
		path: path, log: log, events: make([]loader.FlowEvent, flowEvents), begun: map[netip.Addr]uint32{},
		strangers: map[record.Address]struct{}{},
	}
}

// flowEvents is how many events are taken in under one hold of the lock.
const flowEvents = 256

// gather takes in some of what has become of flows. It reports whether there was
// anything, and whether there may be more.
func (t *flowTable) gather(engine *conntrack.Engine) (found, more bool) {
	now := time.Now()
	for target := range t.strangers {
		if _, known := t.path.Place(target.Netip()); known {
			clear(t.strangers)
			engine.Resync(now)
			break
		}
	}
	n, lost, err := t.path.FlowEvents(t.events)
	t.take(now, engine, t.events[:n])
	if lost > 0 {
		engine.Lost(now)
	}
	if err != nil {
		t.failed.Error(t.log, "flow events are not read", err)
	}
	return n > 0, n == len(t.events) && err == nil
}

// take hands events on. Most of a moment are of one target or two, so that the last
// one's address is remembered.
func (t *flowTable) take(now time.Time, engine *conntrack.Engine, events []loader.FlowEvent) {
	place, target, known := -1, record.Address{}, false
	for i := range events {
		f := &events[i].Flow
		if f.Place != place {
			var addr netip.Addr
			addr, known = t.path.PlaceOf(f.Place)
			place, target = f.Place, record.AddressOf(addr)
		}
		if known {
			t.news = recordOf(f, target)
			engine.Flow(now, newsOf(events[i].Kind), &t.news)
		}
	}
}

func newsOf(kind loader.EventKind) conntrack.News {
	if kind == loader.FlowCreated {
		return conntrack.Created
	}
	return conntrack.Changed
}

// record is a flow as it travels; false for one whose target nobody knows any more.
func (t *flowTable) record(f *loader.Flow) (record.Flow, bool) {
	target, ok := t.path.PlaceOf(f.Place)
	return recordOf(f, record.AddressOf(target)), ok
}

func recordOf(f *loader.Flow, target record.Address) record.Flow {
	return record.Flow{
		Key: record.FlowKey{
			Client: record.AddressOf(f.Client.Addr()), ClientPort: f.Client.Port(),
			VIP: record.AddressOf(f.VIP.Addr()), VIPPort: f.VIP.Port(), Proto: f.Proto,
		},
		Target: target, Closing: f.Closing, Idle: f.Idle,
	}
}

// flow is a flow that a peer told, for this host's table; false for one whose target
// this host does not know.
func (t *flowTable) flow(r *record.Flow) (loader.Flow, bool) {
	place, ok := t.path.Place(r.Target.Netip())
	return loader.Flow{
		Proto:  r.Key.Proto,
		Client: netip.AddrPortFrom(r.Key.Client.Netip(), r.Key.ClientPort),
		VIP:    netip.AddrPortFrom(r.Key.VIP.Netip(), r.Key.VIPPort),
		Place:  place, Closing: r.Closing, Idle: r.Idle,
	}, ok
}

// Apply is conntrack.Table's.
func (t *flowTable) Apply(_ netip.Addr, changes []conntrack.Change[record.Flow]) {
	t.replicas, t.told = t.replicas[:0], t.told[:0]
	for i := range changes {
		c := &changes[i]
		flow, ok := t.flow(&c.Record)
		if !ok && c.Op != wire.Delete {
			c.Outcome = conntrack.Failed
			if len(t.strangers) < maxStrangers {
				t.strangers[c.Record.Target] = struct{}{}
			}
			continue
		}
		t.replicas = append(t.replicas, loader.Replica{Flow: flow, Gone: c.Op == wire.Delete, Own: c.Own})
		t.told = append(t.told, i)
	}
	err := t.path.ApplyReplicas(t.replicas)
	if err != nil {
		t.failed.Error(t.log, "what the peers tell of flows is not written", err)
	}
	for i, at := range t.told {
		changes[at].Outcome = outcomes[t.replicas[i].Outcome]
		if err != nil {
			changes[at].Outcome = conntrack.Failed
		}
	}
}

var outcomes = map[loader.ReplicaOutcome]conntrack.Outcome{
	loader.ReplicaSame:    conntrack.Same,
	loader.ReplicaAdded:   conntrack.Added,
	loader.ReplicaAltered: conntrack.Altered,
	loader.ReplicaRemoved: conntrack.Removed,
	loader.ReplicaKept:    conntrack.Kept,
	loader.ReplicaFailed:  conntrack.Failed,
}

// Begin is conntrack.Table's.
func (t *flowTable) Begin(from netip.Addr) { t.begun[from] = t.path.NextGeneration() }

// Sweep is conntrack.Table's.
func (t *flowTable) Sweep(from netip.Addr) conntrack.Sweeper {
	return flowSweep{t.path.SweepReplicas(t.begun[from])}
}

// Walk is conntrack.Table's.
func (t *flowTable) Walk(scope []record.Address) conntrack.Walker[record.Flow] {
	return &flowWalk{table: t, walk: t.path.Walk(), scope: setOf(scope), flows: make([]loader.Flow, loader.MinWalk)}
}

type flowSweep struct{ sweep *loader.Sweep }

func (s flowSweep) Next(scope []record.Address, visits int) (int, error) {
	vips := setOf(scope)
	return s.sweep.Next(func(vip netip.Addr) bool { return vips[vip] }, visits)
}

func (s flowSweep) Close() {}

// flowWalk reads the flows to the VIPs in scope.
type flowWalk struct {
	table *flowTable
	walk  *loader.Walk
	scope map[netip.Addr]bool
	flows []loader.Flow
}

// Next is conntrack.Walker's.
func (w *flowWalk) Next(buf []record.Flow) (n int, err error) {
	if len(buf) > len(w.flows) {
		w.flows = make([]loader.Flow, len(buf))
	}
	for n == 0 && err == nil {
		var read int
		read, err = w.walk.Next(w.flows[:len(buf)])
		for i := range w.flows[:read] {
			if !w.scope[w.flows[i].VIP.Addr()] {
				continue
			}
			if r, ok := w.table.record(&w.flows[i]); ok {
				buf[n] = r
				n++
			}
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.table.failed.Error(w.table.log, "flows are not read", err)
	}
	return n, err
}

func (w *flowWalk) Close() {}

func setOf(list []record.Address) map[netip.Addr]bool {
	set := make(map[netip.Addr]bool, len(list))
	for _, a := range list {
		set[a.Netip()] = true
	}
	return set
}
