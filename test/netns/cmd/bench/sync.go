// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hafast/test/netns/figures"
	replication "hafast/test/netns/sync"
)

// syncOptions are what the command line asks for.
type syncOptions struct {
	*output
	rounds int
	parts  []string
	// entries are the sizes of tables, planned and deaths how often routers change over.
	entries         []int
	planned, deaths int
	runner          replication.Runner
	// systems are none where nothing is measured.
	systems []replication.System
}

// maxEntries is how many made-up connections there are.
const maxEntries = 4_000_000

// bigTable is how many connections are so many that one round with them must do.
const bigTable = 500_000

// The parts of the measurement. The first three are measured in each round, the last
// one once: it is of many changes itself.
const (
	partRate   = "rate"
	partTurns  = "turns"
	partLag    = "lag"
	partResync = "resync"
	partMoves  = "moves"
)

var allParts = []string{partRate, partTurns, partLag, partResync, partMoves}

func parseSync(args []string) (syncOptions, error) {
	fs, o := newOutput("sync")
	opts := syncOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 3, "rounds; each measures every part but moves with every system")
	parts := fs.String("parts", strings.Join(allParts, ","), "what is measured")
	fs.DurationVar(&opts.runner.Window, "window", 3*time.Second, "how long each load is measured")
	fs.IntVar(&opts.runner.Held, "held", 1000, "connections that are held while the routers change over")
	fs.IntVar(&opts.planned, "moves", 50, "planned changes in a row, fewer of them with other systems than hafast; 0 for none")
	fs.IntVar(&opts.deaths, "deaths", 5, "deaths of the Active, fewer with other systems; 0 for none")
	entries := fs.String("entries", "100000,1000000", "sizes of the table that a router comes back to; none if empty")
	systems := fs.String("systems", strings.Join(replication.SystemNames(), ","),
		"systems to measure, in turn; there are also "+strings.Join(replication.VariantNames(), ", "))
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 || opts.runner.Held < 1 || opts.planned < 0 || opts.deaths < 0 || opts.runner.Window < 100*time.Millisecond {
		return opts, errUsage
	}
	opts.parts = strings.Split(*parts, ",")
	for _, name := range opts.parts {
		if !slices.Contains(allParts, name) {
			return opts, fmt.Errorf("-parts: there is no %q, but %s", name, strings.Join(allParts, ", "))
		}
	}
	for text := range strings.SplitSeq(*entries, ",") {
		if *entries == "" {
			break
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxEntries {
			return opts, fmt.Errorf("-entries: %q is not a number from 1 to %d", text, maxEntries)
		}
		opts.entries = append(opts.entries, n)
	}
	if opts.from != "" {
		return opts, nil
	}
	for name := range strings.SplitSeq(*systems, ",") {
		system, err := replication.NewSystem(name)
		if err != nil {
			return opts, err
		}
		opts.systems = append(opts.systems, system)
	}
	return opts, nil
}

// benchSync measures and reports.
func benchSync(ctx context.Context, opts syncOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*replication.Report, error) { return measureSync(ctx, opts, out) },
		func(r *replication.Report) error { return opts.publish(r, out) })
}

// measureSync makes the report, the systems in turn.
func measureSync(ctx context.Context, opts syncOptions, out io.Writer) (*replication.Report, error) {
	report := &replication.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		WindowS: opts.runner.Window.Seconds(),
		Machine: figures.ThisMachine(ctx, opts.systems),
	}
	report.Machine.Announce(out)
	for round := 1; round <= opts.rounds; round++ {
		for _, measure := range opts.measures(report, round) {
			for _, system := range opts.systems {
				began := time.Now()
				outcome, err := measure(ctx, system)
				switch {
				case ctx.Err() != nil:
					return nil, context.Cause(ctx)
				case err != nil:
					outcome = "error: " + err.Error()
					report.Errors = append(report.Errors, fmt.Sprintf("round %d: %v", round, err))
				case outcome == "":
					continue
				}
				fmt.Fprintf(out, "round %-2d  %3.0f s  %-24s  %s\n", round, time.Since(began).Seconds(), system.Name(), outcome)
			}
		}
	}
	return report, couldNot(report.Errors)
}

// syncMeasure measures something with a system, adds it to the report, and tells it in a
// few words; "" if the system has no such thing.
type syncMeasure func(context.Context, replication.System) (string, error)

// measures are those of a round.
func (o syncOptions) measures(report *replication.Report, round int) (all []syncMeasure) {
	if slices.Contains(o.parts, partRate) {
		all = append(all, func(ctx context.Context, s replication.System) (string, error) {
			r, err := o.runner.Rate(ctx, s)
			r.Round = round
			return keep(&report.Rates, r, err)
		})
	}
	if slices.Contains(o.parts, partTurns) {
		all = append(all, func(ctx context.Context, s replication.System) (string, error) {
			if !replication.Adds(s) {
				return "", nil
			}
			t, err := o.runner.Turns(ctx, s)
			t.Round = round
			return keep(&report.Turns, t, err)
		})
	}
	if slices.Contains(o.parts, partLag) {
		all = append(all, func(ctx context.Context, s replication.System) (string, error) {
			lags, err := o.runner.Lag(ctx, s)
			var words []string
			for _, l := range lags {
				l.Round = round
				report.Lags = append(report.Lags, l)
				words = append(words, l.String())
			}
			return strings.Join(words, "; "), err
		})
	}
	if slices.Contains(o.parts, partResync) {
		for _, entries := range o.entries {
			if entries >= bigTable && round > 1 {
				continue
			}
			all = append(all, func(ctx context.Context, s replication.System) (string, error) {
				if !replication.Replicates(s) || replication.CostOnly(s) {
					return "", nil
				}
				r, err := o.runner.Resync(ctx, s, entries)
				r.Round = round
				return keep(&report.Resyncs, r, err)
			})
		}
	}
	if slices.Contains(o.parts, partMoves) && round == o.rounds {
		for _, plan := range replication.Plans(o.planned, o.deaths) {
			all = append(all, func(ctx context.Context, s replication.System) (string, error) {
				plan := plan.For(s)
				if plan.Planned+plan.Deaths == 0 {
					return "", nil
				}
				m, err := o.runner.Moves(ctx, s, plan)
				m.Round = round
				return keep(&report.Moves, m, err)
			})
		}
	}
	return all
}

// keep adds a result to the report if it is whole.
func keep[R fmt.Stringer](results *[]R, r R, err error) (string, error) {
	if err != nil {
		return "", err
	}
	*results = append(*results, r)
	return r.String(), nil
}
