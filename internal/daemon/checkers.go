// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	"hafast/internal/config"
	"hafast/internal/health"
	"hafast/internal/spawn"
)

// checkers runs the health checks. Only the loop calls watch.
type checkers struct {
	ctx     context.Context
	post    func(context.Context, event)
	spawner *spawn.Spawner
	log     *slog.Logger
	running map[string]runningCheck
}

// runningCheck is a check under way and the configuration it was started with.
type runningCheck struct {
	cfg  any
	stop context.CancelFunc
}

func newCheckers(ctx context.Context, post func(context.Context, event), spawner *spawn.Spawner, log *slog.Logger) *checkers {
	return &checkers{ctx: ctx, post: post, spawner: spawner, log: log, running: make(map[string]runningCheck)}
}

// watch starts what is new, stops what is gone, and leaves alone what has stayed
// as it was: its result is still good.
func (c *checkers) watch(cfg *config.Config) {
	wanted := make(map[string]bool)
	want := func(name string, cfg any, build func() (health.Checker, error)) {
		if wanted[name] {
			return
		}
		wanted[name] = true
		if old, running := c.running[name]; running {
			if reflect.DeepEqual(old.cfg, cfg) {
				return
			}
			old.stop()
		}
		c.start(name, cfg, build)
	}
	if h := cfg.HAProxy; h.Mode != config.HAProxyOff {
		want(health.NameHAProxy, h, func() (health.Checker, error) { return health.NewHAProxy(h, c.log), nil })
		if h.Socket != "" {
			want(health.NameSocket, h, func() (health.Checker, error) { return health.NewHAProxySocket(h, c.log), nil })
		}
	}
	for _, s := range cfg.Scripts {
		s.Place = config.Place{} // where it stands is not what it does
		want(health.ScriptName(s.Name), s, func() (health.Checker, error) { return health.NewScript(s, c.spawner, c.log) })
	}
	for _, in := range cfg.Instances {
		for _, t := range in.Track.Processes {
			want(health.ProcessName(t.Name), t.Name, func() (health.Checker, error) { return health.NewProcess(t, c.log), nil })
		}
		for _, t := range in.Track.Files {
			want(health.FileName(t.Path), t.Path, func() (health.Checker, error) { return health.NewFile(t, c.log), nil })
		}
	}
	for name, check := range c.running {
		if !wanted[name] {
			check.stop()
			delete(c.running, name)
		}
	}
}

func (c *checkers) start(name string, cfg any, build func() (health.Checker, error)) {
	ctx, stop := context.WithCancel(c.ctx)
	c.running[name] = runningCheck{cfg, stop}
	go func() {
		checker, err := build()
		if err == nil {
			err = checker.Run(ctx, func(u health.Update) { c.post(ctx, checkUpdated{u}) })
		}
		if err != nil {
			c.log.Error("check cannot be done", "check", name, "error", err)
			c.post(ctx, checkUpdated{health.Update{Check: name, Detail: fmt.Sprintf("cannot be done: %v", err)}})
		}
	}()
}
