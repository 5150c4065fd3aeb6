package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"hafast/internal/announce"
	"hafast/internal/clock"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/link"
	"hafast/internal/metrics"
	"hafast/internal/notify"
	"hafast/internal/ownership"
	"hafast/internal/spawn"
	"hafast/pkg/vrrp"
)

// Options are what the command line says.
type Options struct {
	// ConfigPath is read at start and at each SIGHUP.
	ConfigPath string
	// Version is shown in status, metrics and the log.
	Version string
	// LogOutput receives the log.
	LogOutput io.Writer
	// Abort, if set, ends a hand-over that is under way. What the daemon changed
	// on the host is put back all the same.
	Abort context.Context
}

// Run is the daemon. It returns nil after a planned hand-over once ctx has
// ended. A configuration with problems is a config.Errors.
func Run(ctx context.Context, opts Options) error {
	cfg, err := config.Load(opts.ConfigPath)
	if err != nil {
		return err
	}
	output := newPatientWriter(opts.LogOutput)
	defer output.Close()
	log := newLogger(cfg.Log, output)
	for _, p := range cfg.Unused {
		log.Warn("key has no effect in this version", "key", p.Key, "file", p.File, "line", p.Line)
	}
	if err := os.MkdirAll(cfg.StateDir, 0o755); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if err := lockMemory(); err != nil {
		log.Warn("a takeover may have to wait for the disk; run as root or with CAP_IPC_LOCK", "error", err)
	}
	if err := renice(cfg.Nice); err != nil {
		log.Warn("a busy host may delay adverts; run as root or with CAP_SYS_NICE, or set nice: 0", "nice", cfg.Nice, "error", err)
	}
	h, err := open(cfg, opts, log)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return errors.Join(h.serve(ctx, opts), h.close())
}

// host holds the adapters of a daemon.
type host struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics

	clients net.Listener // of the control socket
	scrapes net.Listener // of the metrics; nil where they are off

	conn      *link.Conn
	monitor   *link.Monitor
	sender    *announce.Sender
	watch     *announce.Watch
	spawner   *spawn.Spawner
	notifier  *notify.Runner
	owner     *ownership.Owner
	timer     *clock.Timer
	remembers drainMark

	closers []func() error
}

// open opens everything that can fail for want of a privilege or a free address,
// before anything on the host is changed.
func open(cfg *config.Config, opts Options, log *slog.Logger) (_ *host, err error) {
	h := &host{cfg: cfg, log: log, metrics: metrics.New(opts.Version), remembers: drainMark{cfg.StateDir}}
	if h.clients, err = control.Listen(cfg.Control.Socket); err != nil {
		return h, err
	}
	h.closers = append(h.closers, closing(h.clients))
	if cfg.Metrics.Listen != "" {
		if h.scrapes, err = metrics.Listen(cfg.Metrics.Listen); err != nil {
			return h, err
		}
		h.closers = append(h.closers, closing(h.scrapes))
	}
	h.spawner = spawn.New()
	h.closers = append(h.closers, func() error { h.spawner.Close(); return nil })
	h.notifier = notify.New(h.spawner, log)
	if h.conn, err = link.Open(); err != nil {
		return h, err
	}
	h.closers = append(h.closers, h.conn.Close)
	if h.monitor, err = link.NewMonitor(interfacesOf(instancesOf(cfg))...); err != nil {
		return h, err
	}
	if h.sender, err = announce.NewSender(); err != nil {
		return h, fmt.Errorf("%w; run as root or with CAP_NET_RAW and CAP_NET_ADMIN", err)
	}
	h.closers = append(h.closers, h.sender.Close)
	if h.watch, err = announce.NewWatch(); err != nil {
		return h, err
	}
	if h.timer, err = clock.NewTimer(); err != nil {
		return h, err
	}
	h.closers = append(h.closers, h.timer.Close)
	return h, h.openOwner()
}

func (h *host) openOwner() error {
	sysctls, err := link.NewSysctls(h.cfg.StateDir)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, sysctls.Close)
	deps := ownership.Deps{
		Addresses: h.conn, Routes: h.conn, Macvlans: h.conn, Sysctls: sysctls,
		Announcer: countingAnnouncer{h.sender, h.metrics}, Log: h.log, Now: time.Now,
	}
	guard, err := link.NewGuard()
	if err != nil {
		h.log.Debug("no nftables: accept: false cannot be had", "error", err)
	} else {
		deps.Guard = guard
		h.closers = append(h.closers, guard.Close)
	}
	h.owner = ownership.New(deps)
	return nil
}

// closing closes a listener that its server may have closed already.
func closing(ln net.Listener) func() error {
	return func() error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (h *host) close() error {
	var failures []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		failures = append(failures, h.closers[i]())
	}
	return errors.Join(failures...)
}

// serve runs everything until ctx has ended and the VIPs are handed over.
func (h *host) serve(ctx context.Context, opts Options) error {
	// The adapters outlive ctx: they are what the hand-over is done with.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	abort := opts.Abort
	if abort == nil {
		abort = context.Background()
	}
	g, running := errgroup.WithContext(running)

	l, err := h.newLoop(running, opts)
	if err != nil {
		return err
	}
	if err := h.owner.Prepare(ownedBy(h.cfg)); err != nil {
		return errors.Join(fmt.Errorf("prepare the host: %w", err), h.owner.Withdraw())
	}
	g.Go(func() error {
		return h.monitor.Run(running, func(c link.Change) { l.post(running, linkChanged{c}) })
	})
	g.Go(func() error {
		return h.watch.Run(running, func(c announce.Claim) { l.post(running, rivalClaimed{c}) })
	})
	g.Go(func() error {
		return h.owner.Run(running, func(ev ownership.Event) { l.post(running, vipReported{ev}) })
	})
	g.Go(func() error { return h.notifier.Run(running) })
	g.Go(func() error {
		reloadOnHangup(running, opts.ConfigPath, l.post, h.owner.Prepare)
		return nil
	})
	g.Go(func() error {
		return control.NewServer(backend{l, running}, h.log).Serve(running, h.clients)
	})
	if h.scrapes != nil {
		g.Go(func() error { return h.metrics.Serve(running, h.scrapes, nil) })
	}
	g.Go(func() error {
		defer stop()
		l.start(time.Now())
		// An adapter that fails ends the daemon too, by the same way.
		leave, left := context.WithCancel(ctx)
		defer left()
		defer context.AfterFunc(running, left)()
		l.run(leave, abort)
		return nil
	})
	return errors.Join(g.Wait(), h.owner.Withdraw())
}

// newLoop builds the loop and reads what it must know before it starts: without
// the state of the interfaces every instance would begin in fault.
func (h *host) newLoop(running context.Context, opts Options) (*loop, error) {
	l := &loop{
		cfg: h.cfg, instances: instancesOf(h.cfg),
		links: make(map[string]link.State), checks: make(map[string]check), groups: make(map[string]vrrp.State),
		drained: h.remembers.read(), exposed: true,
		events: make(chan event, eventQueue), quiet: throttle{every: 10 * time.Second},
		started: time.Now(), version: opts.Version,
		journal: control.NewJournal(control.DefaultJournalSize), metrics: h.metrics, log: h.log,
	}
	l.later = func(d time.Duration, ev event) {
		time.AfterFunc(d, func() { l.post(running, ev) })
	}
	l.ports = ports{
		wires:      newAdvertWires(running, l.post, h.log),
		owner:      h.owner,
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
	l.wires.follow(l.instances, l.links)
	l.checker.watch(l.cfg)
	return l, nil
}
