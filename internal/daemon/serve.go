// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"hafast/internal/announce"
	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/internal/membership"
	"hafast/internal/metrics"
	"hafast/internal/ownership"
	"hafast/internal/process"
	"hafast/pkg/vrrp"
)

// serve runs everything until ctx has ended and the VIPs are handed over.
func (h *host) serve(ctx context.Context, opts Options) error {
	// The adapters outlive ctx: they are what the hand-over is done with.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, running := errgroup.WithContext(running)
	l, err := h.newLoop(running, opts)
	if err != nil {
		return err
	}
	if err := h.prepare(running, l); err != nil {
		return err
	}
	h.awaitLinks(ctx, l)
	h.wire(running, g, l, opts.ConfigPath)
	g.Go(func() error {
		defer stop()
		l.start(time.Now())
		// An adapter that fails ends the daemon too, by the same way.
		stopping, stopped := context.WithCancel(ctx)
		defer stopped()
		defer context.AfterFunc(running, stopped)()
		l.run(stopping, orNever(opts.Abort), orNever(opts.Leave))
		return nil
	})
	err = g.Wait()
	return errors.Join(err, h.tearDown(l.handedOff))
}

// orNever stands in for a context that is not set.
func orNever(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// prepare makes the host ready: the data path first, and then the VIPs. If it fails,
// no VIP is left on it.
func (h *host) prepare(ctx context.Context, l *loop) error {
	if err := h.startFleet(ctx, l); err != nil {
		return err
	}
	// Not before: the verifier of the data path's program would hold a processor for a
	// tenth of a second against haproxy, and might do so in the middle of an upgrade.
	if err := process.Renice(h.cfg.Nice); err != nil {
		h.log.Warn("a busy host may delay adverts; run as root or with CAP_SYS_NICE, or set nice: 0", "nice", h.cfg.Nice, "error", err)
	}
	if err := process.RelaxTimers(); err != nil {
		h.log.Debug("the daemon will use a little more processor time", "error", err)
	}
	if err := h.startSync(ctx, l); err != nil {
		return err
	}
	deps := h.deps
	if h.fleet != nil {
		deps.Gate = h.fleet.path
	}
	if h.cfg.Sync.On() {
		deps.Connections = h.channel
	}
	h.owner = ownership.New(deps)
	l.owner = h.owner
	if err := h.owner.Prepare(l.owned()); err != nil {
		return errors.Join(fmt.Errorf("prepare the host: %w", err), h.owner.Withdraw(), h.abandonSync(), h.abandonFleet())
	}
	return nil
}

// wire starts the adapters in the group, until ctx is done: they report to the loop, or
// do what it asks for.
func (h *host) wire(ctx context.Context, g *errgroup.Group, l *loop, configPath string) {
	answers := backend{loop: l, fleet: h.fleet, noFleet: h.noFleet, sync: h.replica(), done: ctx}
	if h.fleet == nil && h.channel != nil {
		g.Go(func() error { return h.channel.Run(ctx, func(membership.Packet) {}) })
	}
	if h.cfg.Sync.On() {
		h.metrics.WatchSync(func(ctx context.Context) (metrics.Sync, error) { return answers.sync.scrape(), nil })
	}
	if h.fleet != nil {
		h.fleet.run(ctx, g, l)
		h.metrics.WatchDataPath(func(ctx context.Context) (metrics.DataPath, error) {
			st, err := answers.outline(ctx)
			return h.fleet.scrape(st), err
		})
	}
	g.Go(func() error {
		return h.monitor.Run(ctx, func(c link.Change) { l.post(ctx, linkChanged{c}) })
	})
	g.Go(func() error {
		return h.watch.Run(ctx, func(c announce.Claim) { l.post(ctx, rivalClaimed{c}) })
	})
	g.Go(func() error {
		return h.owner.Run(ctx, func(ev ownership.Event) { l.post(ctx, vipReported{ev}) })
	})
	g.Go(func() error { return h.notifier.Run(ctx) })
	g.Go(func() error {
		reloadOnHangup(ctx, configPath, l.post, h.owner.Prepare)
		return nil
	})
	g.Go(func() error { return control.NewServer(answers, h.log).Serve(ctx, h.clients) })
	if h.scrapes != nil {
		g.Go(func() error { return h.metrics.Serve(ctx, h.scrapes, nil) })
	}
}

// tearDown puts back what was changed on the host, unless a successor takes over from
// here.
func (h *host) tearDown(handedOff bool) error {
	if handedOff {
		return h.closeFleet(true)
	}
	return errors.Join(h.cleanUp(), h.closeFleet(false))
}

// cleanUp puts back what was changed on the host. VIPs that haproxy still has
// connections to stay on lo: these go on, by way of the host that is Active now.
func (h *host) cleanUp() error {
	if h.fleet != nil {
		switch n, err := h.fleet.connections(); {
		case err != nil:
			h.log.Warn("connections are not counted", "error", err)
		case n > 0:
			h.log.Info("the VIPs stay on lo for connections that haproxy still has; hafast cleanup takes them off", "connections", n)
			return h.owner.Leave()
		}
	}
	return h.owner.Withdraw()
}

// newLoop builds the loop and reads what it must know before it starts: without
// the state of the interfaces every instance would begin in fault.
func (h *host) newLoop(running context.Context, opts Options) (*loop, error) {
	l := &loop{
		cfg: h.cfg, instances: instancesOf(h.cfg),
		links: make(map[string]link.State), checks: make(map[string]check), groups: make(map[string]vrrp.State),
		drained: h.remembers.read(), exposed: true,
		events:  make(chan event, eventQueue),
		started: time.Now(), version: opts.Version,
		journal: control.NewJournal(control.DefaultJournalSize), metrics: h.metrics, log: h.log,
	}
	l.later = func(d time.Duration, ev event) {
		time.AfterFunc(d, func() { l.post(running, ev) })
	}
	wires := newAdvertWires(running, l.post, h.log)
	l.ports = ports{
		wires:      wires,
		notifier:   h.notifier,
		checker:    newCheckers(running, l.post, h.spawner, h.log),
		timer:      h.timer,
		guard:      h.watch.Set,
		remember:   h.remembers.write,
		watchLinks: func(instances []*instance) { h.monitor.Watch(interfacesOf(instances)...) },
	}
	var err error
	if l.router, err = vrrp.NewRouter(virtualRouters(l.instances)); err != nil {
		return nil, err
	}
	for _, name := range interfacesOf(l.instances) {
		state, err := h.conn.State(name)
		switch {
		case err == nil:
			l.links[name] = state
		case !errors.Is(err, link.ErrNotFound):
			return nil, err
		}
	}
	wires.start(l.instances, l.links)
	l.checker.watch(l.cfg)
	return l, nil
}
