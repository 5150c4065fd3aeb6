// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/flowsync"
	"hafast/test/netns/lab"
)

// flowsyncOptions are what the command line asks for.
type flowsyncOptions struct {
	*output
	rounds int
	protos []string
	// flows is the size of the table that a host comes back to; 0 for none.
	flows  int
	runner flowsync.Runner
}

// maxSyncFlows is how many flows are made at most: their tables take 200 bytes each.
const maxSyncFlows = 4_000_000

func parseFlowsync(args []string) (flowsyncOptions, error) {
	fs, o := newOutput("flowsync")
	opts := flowsyncOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 1, "rounds; each measures everything")
	fs.IntVar(&opts.runner.Rate, "rate", 50_000, "flows that are begun per second")
	fs.DurationVar(&opts.runner.Window, "window", 10*time.Second, "how long the load is measured")
	fs.IntVar(&opts.runner.Probes, "probes", 300, "flows that are looked for at the other host, for the lag")
	fs.IntVar(&opts.flows, "flows", 1_000_000, "size of the table that a host comes back to; 0 for none")
	protos := fs.String("protos", strings.Join(flowsync.Protocols(), ","), "protocols whose flows are measured under load; none if empty")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 || opts.runner.Rate < 1 || opts.runner.Probes < 1 || opts.runner.Window < 100*time.Millisecond {
		return opts, errUsage
	}
	if opts.flows < 0 || opts.flows > maxSyncFlows {
		return opts, fmt.Errorf("-flows: %d is not from 0 to %d", opts.flows, maxSyncFlows)
	}
	for proto := range strings.SplitSeq(*protos, ",") {
		if *protos == "" {
			break
		}
		if !slices.Contains(flowsync.Protocols(), proto) {
			return opts, fmt.Errorf("-protos: %q is none of %s", proto, strings.Join(flowsync.Protocols(), ", "))
		}
		opts.protos = append(opts.protos, proto)
	}
	return opts, nil
}

// benchFlowsync measures and reports.
func benchFlowsync(ctx context.Context, opts flowsyncOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*flowsync.Report, error) { return measureFlowsync(ctx, opts, out) },
		func(r *flowsync.Report) error { return opts.publish(r, out) })
}

// measureFlowsync makes the report.
func measureFlowsync(ctx context.Context, opts flowsyncOptions, out io.Writer) (*flowsync.Report, error) {
	hafast, err := lab.NewHafast()
	if err != nil {
		return nil, err
	}
	report := &flowsync.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		Rate:    opts.runner.Rate,
		WindowS: opts.runner.Window.Seconds(),
		Machine: figures.ThisMachine(ctx, []lab.System{hafast}),
	}
	report.Machine.Announce(out)
	for round := 1; round <= opts.rounds; round++ {
		for _, measure := range opts.measures(report, round) {
			began := time.Now()
			outcome, err := measure(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				outcome = "error: " + err.Error()
				report.Errors = append(report.Errors, fmt.Sprintf("round %d: %v", round, err))
			}
			fmt.Fprintf(out, "round %-2d  %3.0f s  %s\n", round, time.Since(began).Seconds(), outcome)
		}
	}
	return report, couldNot(report.Errors)
}

// measures are those of a round. Each adds to the report, and tells it in a few words.
func (o flowsyncOptions) measures(report *flowsync.Report, round int) (all []func(context.Context) (string, error)) {
	for _, proto := range o.protos {
		all = append(all, func(ctx context.Context) (string, error) {
			l, err := o.runner.Load(ctx, proto)
			l.Round = round
			return keep(&report.Loads, l, err)
		})
	}
	if o.flows > 0 {
		all = append(all, func(ctx context.Context) (string, error) {
			r, err := o.runner.Resync(ctx, o.flows)
			r.Round = round
			return keep(&report.Resyncs, r, err)
		})
	}
	return all
}
