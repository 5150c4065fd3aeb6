// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hafast/internal/config"
	"hafast/internal/spawn"
)

// Script runs a command every interval; exit status 0 is success, anything else
// is failure: another status, a signal, a timeout, a command that does not
// start. Its check is named
// "script NAME".
type Script struct {
	cfg     config.Script
	spawner *spawn.Spawner
	log     *slog.Logger
}

// NewScript refuses a command that cannot be split into words and a user that
// does not exist.
func NewScript(cfg config.Script, spawner *spawn.Spawner, log *slog.Logger) (*Script, error) {
	if _, err := spawn.Split(cfg.Command); err != nil {
		return nil, fmt.Errorf("script %s: %w", cfg.Name, err)
	}
	if err := spawn.CheckUser(cfg.User); err != nil {
		return nil, fmt.Errorf("script %s: %w", cfg.Name, err)
	}
	cfg.Interval, cfg.Timeout = pace(cfg.Interval, cfg.Timeout)
	return &Script{cfg: cfg, spawner: spawner, log: log}, nil
}

// Name implements Checker.
func (s *Script) Name() string { return ScriptName(s.cfg.Name) }

// Run implements Checker. The next run starts an interval after the last one
// started, but never before that one has ended.
func (s *Script) Run(ctx context.Context, report func(Update)) error {
	state := streak{rise: s.cfg.Rise, fall: s.cfg.Fall}
	var reason string // of the last failure told
	return every(ctx, s.cfg.Interval, func() {
		s.once(ctx, func(r outcome) {
			changed := state.add(r.ok)
			// While the script is down, another kind of failure is news;
			// another last line of output is not.
			if !changed && (state.up || r.ok || r.reason == reason) {
				return
			}
			reason = r.reason
			report(Update{Check: s.Name(), Up: state.up, Detail: r.detail(), At: time.Now()})
		})
	})
}

// outcome is what one run says.
type outcome struct {
	ok     bool
	reason string
	output string
}

func (o outcome) detail() string {
	if o.output == "" {
		return o.reason
	}
	return o.reason + ": " + o.output
}

// once runs the script and calls tell with the outcome; for a script that takes
// too long as soon as that is clear, before its process group has been killed.
// If ctx ends first there is no outcome.
func (s *Script) once(ctx context.Context, tell func(outcome)) {
	p, err := s.spawner.Start(spawn.Command{
		Line:          s.cfg.Command,
		User:          s.cfg.User,
		DieWithParent: true,
	})
	if err != nil {
		if !errors.Is(err, spawn.ErrClosed) {
			tell(outcome{reason: err.Error()})
		}
		return
	}
	timeout := time.NewTimer(s.cfg.Timeout)
	defer timeout.Stop()
	select {
	case <-p.Done():
		r := p.Result()
		s.log.Debug("script has run", "script", s.cfg.Name, "result", r.Reason(), "took", r.Duration)
		tell(outcome{ok: r.OK(), reason: r.Reason(), output: r.Output})
	case <-timeout.C:
		tell(outcome{reason: fmt.Sprintf("no result within %v", s.cfg.Timeout)})
		p.Stop()
	case <-ctx.Done():
		p.Stop()
	}
}
