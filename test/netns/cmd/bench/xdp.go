// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/program/cost"
)

// xdpOptions are what the command line asks for.
type xdpOptions struct {
	*output
	cost cost.Options
}

func parseXDP(args []string) (xdpOptions, error) {
	fs, o := newOutput("xdp")
	opts := xdpOptions{output: o}
	fs.IntVar(&opts.cost.Rounds, "rounds", 15, "rounds of each case")
	fs.IntVar(&opts.cost.Packets, "packets", 200_000, "packets of each round")
	fs.IntVar(&opts.cost.Many, "many", 1_000_000, "flows in the full table, and packets of a flood")
	fs.IntVar(&opts.cost.Some, "some", 100_000, "flows of the random traffic")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.cost.Rounds < 1 || opts.cost.Packets < 1 || opts.cost.Some < 1 {
		return opts, errUsage
	}
	if opts.cost.Many < opts.cost.Some || opts.cost.Many > 1<<23 {
		return opts, fmt.Errorf("-many: %d is not between -some and %d", opts.cost.Many, 1<<23)
	}
	return opts, nil
}

// benchXDP measures and reports.
func benchXDP(ctx context.Context, opts xdpOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*cost.Report, error) { return measureXDP(ctx, opts, out) },
		func(r *cost.Report) error { return opts.publish(r, out) })
}

// measureXDP makes the report.
func measureXDP(ctx context.Context, opts xdpOptions, out io.Writer) (*cost.Report, error) {
	report := &cost.Report{
		Date:    time.Now(),
		Command: opts.command,
		Machine: figures.ThisMachine[lab.System](ctx, nil),
	}
	report.Machine.Announce(out)
	opts.cost.Progress = func(c cost.Cost) {
		fmt.Fprintf(out, "%-32s  %-4s  %-20s  %s\n", c.Kind, c.Family, c.Setting, c)
	}
	if err := cost.Measure(ctx, opts.cost, report); err != nil {
		return nil, err
	}
	return report, nil
}
