// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/path"
)

// pathOptions are what the command line asks for.
type pathOptions struct {
	*output
	rounds int
	ways   []path.Way
	window time.Duration
}

func parsePath(args []string) (pathOptions, error) {
	fs, o := newOutput("path")
	opts := pathOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 3, "rounds; each measures every load over every way")
	ways := fs.String("ways", strings.Join(path.WayNames(), ","), "ways to measure, in turn")
	fs.DurationVar(&opts.window, "window", 3*time.Second, "how long each load is measured")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 || opts.window < 100*time.Millisecond {
		return opts, errUsage
	}
	for name := range strings.SplitSeq(*ways, ",") {
		way, err := path.ParseWay(name)
		if err != nil {
			return opts, err
		}
		opts.ways = append(opts.ways, way)
	}
	return opts, nil
}

// benchPath measures and reports.
func benchPath(ctx context.Context, opts pathOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*path.Report, error) { return measurePath(ctx, opts, out) },
		func(r *path.Report) error { return opts.publish(r, out) })
}

// measurePath makes the report, the ways in turn.
func measurePath(ctx context.Context, opts pathOptions, out io.Writer) (*path.Report, error) {
	hafast, err := lab.NewHafast()
	if err != nil {
		return nil, err
	}
	report := &path.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		WindowS: opts.window.Seconds(),
		Machine: figures.ThisMachine(ctx, []lab.System{hafast, lab.KeepalivedSeed()}),
	}
	report.Machine.Announce(out)
	err = inLab(ctx, lab.Options{}, func(l *lab.Lab) error {
		runner := path.Runner{Lab: l, Window: opts.window}
		for round := 1; round <= opts.rounds; round++ {
			for _, way := range opts.ways {
				results, err := runner.Run(ctx, way)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				for _, r := range results {
					r.Round = round
					fmt.Fprintf(out, "round %-2d  %-10s  %-18s  %s\n", round, way.Name, r.Load, r)
					report.Results = append(report.Results, r)
				}
				if err != nil {
					fmt.Fprintln(out, "error:", err)
					report.Errors = append(report.Errors, fmt.Sprintf("round %d: %v", round, err))
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return report, couldNot(report.Errors)
}
