// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/config"
	"hafast/internal/control"
	"hafast/internal/ownership"
	"hafast/pkg/vrrp"
)

type (
	// configRead is the outcome of reading the configuration again. The loop
	// answers with what has to be prepared, nil when nothing has.
	configRead struct {
		cfg    *config.Config
		keys   [][]byte // of state sync
		err    error
		answer chan<- []ownership.Instance
	}
	// prepared says that the host is ready for the instances of the new
	// configuration.
	prepared struct{ err error }
)

// reloadOnHangup reads the configuration at each SIGHUP and sees it through, one
// after the other. What may take its time, reading files and preparing the host,
// happens here; adverts go out meanwhile.
func reloadOnHangup(ctx context.Context, path string, post func(context.Context, event), prepare func([]ownership.Instance) error) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
		case <-ctx.Done():
			return
		}
		var keys [][]byte
		cfg, err := config.Load(path)
		if err == nil {
			keys, err = syncKeys(cfg)
		}
		answer := make(chan []ownership.Instance, 1)
		post(ctx, configRead{cfg, keys, err, answer})
		select {
		case instances := <-answer:
			if instances != nil {
				post(ctx, prepared{prepare(instances)})
			}
		case <-ctx.Done():
			return
		}
	}
}

// configRead applies a new configuration; a bad one is refused and the old one
// stays.
func (l *loop) configRead(now time.Time, ev configRead) {
	err := ev.err
	if err == nil {
		err = l.apply(now, ev.cfg)
	}
	if err == nil {
		err = l.rekey(ev.keys)
	}
	l.metrics.ConfigReloaded(err)
	if err != nil {
		l.log.Error("configuration refused, the old one stays", "error", err)
		l.record(now, control.Event{Kind: "reload", Cause: "configuration refused, the old one stays: " + firstLine(err)})
		ev.answer <- nil
		return
	}
	l.record(now, control.Event{Kind: "reload", Cause: "configuration reloaded"})
	ev.answer <- ownedBy(l.cfg)
}

func firstLine(err error) string {
	first, _, more := strings.Cut(err.Error(), "\n")
	if more {
		return first + " (and more)"
	}
	return first
}

// apply replaces the configuration. Instances that are the same virtual router
// as before keep their state, their addresses and their cadence; new ones wait
// in Init until the host is prepared.
func (l *loop) apply(now time.Time, cfg *config.Config) error {
	if fixed := fixedKeys(l.cfg, cfg); fixed != "" {
		return fmt.Errorf("%s cannot change while hafast runs; restart it", fixed)
	}
	next := instancesOf(cfg)
	outputs, err := l.router.Reconfigure(now, virtualRouters(next))
	if err != nil {
		return err
	}
	// What is given up belongs to the instances as they were; what the others
	// send must tell of the new configuration already.
	isNew := func(name string) bool { return l.router.State(name) == vrrp.Init }
	gone, kept := split(outputs, func(out vrrp.Output) bool { return isNew(out.Instance) })
	l.perform(now, gone)
	for _, in := range next {
		if old := l.instance(in.Name); old != nil && !isNew(in.Name) {
			in.inherit(old)
		}
	}
	l.cfg, l.instances = cfg, next
	l.watchLinks(next)
	l.wires.follow(next, l.links)
	l.perform(now, kept)
	l.checker.watch(cfg)
	l.forgetChecks()
	if l.fleet != nil {
		l.perceive(now, l.fleet.setPeers(cfg.Peers))
		if err := l.fleet.prober.SetTiming(timing(cfg.Liveness)); err != nil {
			l.log.Error("the pace of liveness stays as it was", "error", err)
		}
		l.lookAround()
	}
	l.perform(now, l.router.StepAll(now, vrrp.Defer{On: l.sync.lacking}))
	l.tellScope()
	l.tellRoutes()
	l.score(now)
	l.exposed = true
	return nil
}

// split divides the outputs, in their order, into those that match and the others.
func split(outputs []vrrp.Output, match func(vrrp.Output) bool) (matching, others []vrrp.Output) {
	for _, out := range outputs {
		if match(out) {
			matching = append(matching, out)
		} else {
			others = append(others, out)
		}
	}
	return matching, others
}

// inherit takes over what is known of the instance under its old configuration.
func (in *instance) inherit(old *instance) {
	in.source, in.fault, in.since, in.transitions = old.source, old.fault, old.since, old.transitions
	in.effective, in.outOfService, in.late, in.shown = old.effective, old.outOfService, old.late, old.shown
	in.waiting = old.waiting
}

// hostPrepared lets the new instances begin and gives the old ones another look.
func (l *loop) hostPrepared(now time.Time, err error) {
	if err != nil {
		l.log.Error("the host is not fully prepared", "error", err)
	}
	if l.begun {
		l.begin(now)
	}
}

// fixedKeys names what differs between two configurations and is only read at start.
func fixedKeys(old, next *config.Config) string {
	switch {
	case old.Control != next.Control:
		return "control.socket"
	case old.Metrics != next.Metrics:
		return "metrics.listen"
	case old.StateDir != next.StateDir:
		return "state_dir"
	case old.Nice != next.Nice:
		return "nice"
	case old.XDP != next.XDP:
		return "xdp"
	case old.BPFDir != next.BPFDir:
		return "bpf_dir"
	case old.Flows != next.Flows:
		return "flows"
	case old.Sync.On() != next.Sync.On(), old.Sync.Conntrack != next.Sync.Conntrack:
		return "whether there is sync, and of what,"
	case !reflect.DeepEqual(old.Sync.Filter, next.Sync.Filter):
		return "sync.filter"
	case old.Log != next.Log:
		return "log"
	}
	return ""
}
