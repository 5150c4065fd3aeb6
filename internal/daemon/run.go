package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
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
	"hafast/pkg/loader"
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
	// Leave, if set, ends the daemon at once when it ends, with everything left in
	// place for a successor on this host.
	Leave context.Context
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
	// A thread that comes back from the kernel needs one of these tokens to go on; with
	// a few to spare it need not wait until another goroutine is done.
	runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs)
	if err := lockMemory(); err != nil {
		log.Warn("a takeover may have to wait for the disk; run as root or with CAP_IPC_LOCK", "error", err)
	}
	h, err := open(cfg, opts, log)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return errors.Join(h.serve(ctx, opts), h.close())
}

// spareProcs is how many more goroutines may run than there are processors.
const spareProcs = 2

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
	fleet     *fleetAdapters // nil without a data path
	noFleet   string         // why there is none
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
	h.metrics.WatchCounts(metrics.Counts{
		ClaimsMalformed: h.watch.Malformed, NotifyDropped: h.notifier.Dropped, NotifyFailed: h.notifier.Failed,
	})
	if h.timer, err = clock.NewTimer(); err != nil {
		return h, err
	}
	h.closers = append(h.closers, h.timer.Close)
	return h, nil
}

// startFleet brings the data path up. Without one hafast is a plain VRRP daemon, and
// says why: that is better than no daemon.
func (h *host) startFleet(ctx context.Context, l *loop) {
	if h.cfg.XDP == "off" {
		h.noFleet = "xdp: off in the configuration"
		h.dropPredecessor()
		return
	}
	fleet, err := openFleet(ctx, l, h.log)
	if err == nil {
		l.fleet = fleet.fleet(h.cfg.Peers)
		l.resume = make(map[string]bool)
		// Long enough for all that comes before the first beat.
		lapsed := fleet.path.Renew(handoffLease) > 0
		for _, in := range l.instances {
			if !lapsed && fleet.path.Resumable(in.VIPs[0].Prefix.Addr()) {
				l.resume[in.Name] = true
			}
		}
		if err = fleet.path.Prepare(l.wish(l.self()), func(name string) bool { return l.resume[name] }); err == nil {
			h.fleet = fleet
			l.watchSockets()
			return
		}
		err = errors.Join(err, fleet.abandon())
		l.fleet, l.resume = nil, nil
	}
	h.noFleet = err.Error()
	h.log.Error("no data path: this is a plain VRRP daemon, and connections do not outlive a move of their VIP", "error", err)
	h.dropPredecessor()
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
	if h.fleet != nil {
		deps.Gate = h.fleet.path
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

	leave := opts.Leave
	if leave == nil {
		leave = context.Background()
	}

	l, err := h.newLoop(running, opts)
	if err != nil {
		return err
	}
	h.startFleet(running, l)
	// Not before: the verifier of the data path's program would hold a processor for a
	// tenth of a second against haproxy, and might do so in the middle of an upgrade.
	if err := renice(h.cfg.Nice); err != nil {
		h.log.Warn("a busy host may delay adverts; run as root or with CAP_SYS_NICE, or set nice: 0", "nice", h.cfg.Nice, "error", err)
	}
	if err := h.openOwner(); err != nil {
		return errors.Join(err, h.abandonFleet())
	}
	l.owner = h.owner
	if err := h.owner.Prepare(l.owned()); err != nil {
		return errors.Join(fmt.Errorf("prepare the host: %w", err), h.owner.Withdraw(), h.abandonFleet())
	}
	answers := backend{loop: l, fleet: h.fleet, noFleet: h.noFleet, done: running}
	if h.fleet != nil {
		h.fleet.run(running, g, l, h.cfg.Instances[0].Interface)
		h.metrics.WatchDataPath(func(ctx context.Context) (metrics.DataPath, error) {
			st, err := answers.Status(ctx)
			return h.fleet.scrape(st), err
		})
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
		return control.NewServer(answers, h.log).Serve(running, h.clients)
	})
	if h.scrapes != nil {
		g.Go(func() error { return h.metrics.Serve(running, h.scrapes, nil) })
	}
	g.Go(func() error {
		defer stop()
		l.start(time.Now())
		// An adapter that fails ends the daemon too, by the same way.
		stopping, stopped := context.WithCancel(ctx)
		defer stopped()
		defer context.AfterFunc(running, stopped)()
		l.run(stopping, abort, leave)
		return nil
	})
	err = g.Wait()
	if l.handedOff {
		return errors.Join(err, h.closeFleet(true))
	}
	return errors.Join(err, h.cleanUp(), h.closeFleet(false))
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

// dropPredecessor takes down a data path that nobody would renew the lease of: its gate
// would keep this host's VIPs from being answered for.
func (h *host) dropPredecessor() {
	if err := loader.RemovePinned(h.cfg.BPFDir); err != nil && !errors.Is(err, loader.ErrBusy) {
		h.log.Error("a predecessor's data path is still there; hafast cleanup takes it down", "error", err)
	}
}

// abandonFleet takes a data path down that has never run.
func (h *host) abandonFleet() error {
	if h.fleet == nil {
		return nil
	}
	return h.fleet.abandon()
}

// closeFleet takes the data path down, or leaves it for a successor.
func (h *host) closeFleet(keep bool) error {
	if h.fleet == nil {
		return nil
	}
	return h.fleet.closeAll(keep)
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
