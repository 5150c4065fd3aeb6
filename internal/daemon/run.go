// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"hafast/internal/announce"
	"hafast/internal/clock"
	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/health"
	"hafast/internal/link"
	"hafast/internal/metrics"
	"hafast/internal/notify"
	"hafast/internal/ownership"
	"hafast/internal/process"
	"hafast/internal/spawn"
	"hafast/internal/statesync"
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
	keys, err := syncKeys(cfg)
	if err != nil {
		return err
	}
	output := process.NewAsyncWriter(opts.LogOutput)
	defer output.Close()
	log := process.NewLogger(cfg.Log, output)
	if err := os.MkdirAll(cfg.StateDir, 0o755); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	// A thread that comes back from the kernel needs one of these tokens to go on; with
	// a few to spare it need not wait until another goroutine is done.
	runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs)
	if err := process.LockMemory(); err != nil {
		log.Warn("a takeover may have to wait for the disk; run as root or with CAP_IPC_LOCK", "error", err)
	}
	h, err := open(cfg, keys, opts, log)
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
	keys    [][]byte // of state sync
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
	deps      ownership.Deps // but for the gate, which is the data path's
	owner     *ownership.Owner
	fleet     *fleetAdapters     // nil without a data path
	noFleet   control.XDP        // why there is none
	channel   *statesync.Channel // nil without a data path and state sync
	timer     *clock.Timer
	remembers drainMark

	closers []func() error
}

// open opens everything that can fail for want of a privilege or a free address,
// before anything on the host is changed.
func open(cfg *config.Config, keys [][]byte, opts Options, log *slog.Logger) (_ *host, err error) {
	h := &host{cfg: cfg, keys: keys, log: log, metrics: metrics.New(opts.Version), remembers: drainMark{cfg.StateDir}}
	if h.clients, err = control.Listen(cfg.Control.Socket, func() {
		log.Info("another hafast is being started: waiting for it to open its control socket", "directory", filepath.Dir(cfg.Control.Socket))
	}); err != nil {
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
	if err := health.ThreadsError(); err != nil && cfg.HAProxy.Mode != config.HAProxyOff {
		log.Info("this kernel reports haproxy's death only once its last connection is closed, some milliseconds later", "error", err)
	}
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
	return h, h.openDeps()
}

// openDeps opens what VIPs are taken and released with.
func (h *host) openDeps() error {
	sysctls, err := link.NewSysctls(h.cfg.StateDir)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, sysctls.Close)
	h.deps = ownership.Deps{
		Addresses: h.conn, Routes: h.conn, Macvlans: h.conn, Sysctls: sysctls,
		Announcer: countingAnnouncer{h.sender, h.metrics}, Log: h.log, Now: time.Now,
	}
	guard, err := link.NewGuard()
	if err != nil {
		h.log.Debug("no nftables: accept: false cannot be had", "error", err)
		return nil
	}
	h.deps.Guard = guard
	h.closers = append(h.closers, guard.Close)
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
