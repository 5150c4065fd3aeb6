// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/scale"
)

// scaleOptions are what the command line asks for.
type scaleOptions struct {
	*output
	rounds int
	// vips are the sizes of the instance that is promoted; none to leave that out.
	vips []int
	// instances is how many there are at the most; 0 to leave the costs out.
	instances int
	window    time.Duration
}

func parseScale(args []string) (scaleOptions, error) {
	fs, o := newOutput("scale")
	opts := scaleOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 5, "rounds of promotions; each measures every size with every system")
	vips := fs.String("vips", "1,10,100,1000", "numbers of VIPs in the instance that is promoted; empty for none")
	fs.IntVar(&opts.instances, "instances", 255, "how many instances the larger cost is measured with; 0 for no costs")
	fs.DurationVar(&opts.window, "window", 20*time.Second, "how long costs are measured")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 || opts.window < time.Second || opts.instances < 0 || opts.instances > 255 {
		return opts, errUsage
	}
	for text := range strings.SplitSeq(*vips, ",") {
		if *vips == "" {
			break
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > scale.MaxVIPs {
			return opts, fmt.Errorf("-vips: %q is not a number from 1 to %d", text, scale.MaxVIPs)
		}
		opts.vips = append(opts.vips, n)
	}
	return opts, nil
}

// benchScale measures and reports.
func benchScale(ctx context.Context, opts scaleOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*scale.Report, error) { return measureScale(ctx, opts, out) },
		func(r *scale.Report) error { return opts.publish(r, out) })
}

// measureScale makes the report, the systems in turn.
func measureScale(ctx context.Context, opts scaleOptions, out io.Writer) (*scale.Report, error) {
	systems, err := scale.Contestants()
	if err != nil {
		return nil, err
	}
	report := &scale.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		Machine: figures.ThisMachine(ctx, systems),
	}
	report.Machine.Announce(out)
	err = inLab(ctx, lab.Options{}, func(l *lab.Lab) error {
		s := scaling{opts: opts, runner: scale.Runner{Lab: l}, systems: systems, report: report, out: out}
		if err := s.promotions(ctx); err != nil || opts.instances == 0 {
			return err
		}
		return s.costs(ctx)
	})
	if err != nil {
		return nil, err
	}
	return report, couldNot(report.Errors)
}

// scaling is a measurement in progress.
type scaling struct {
	opts    scaleOptions
	runner  scale.Runner
	systems []scale.Contestant
	report  *scale.Report
	out     io.Writer
}

// promotions measures every size with every system; only an interruption is an error.
func (s *scaling) promotions(ctx context.Context) error {
	for round := 1; round <= s.opts.rounds; round++ {
		for _, vips := range s.opts.vips {
			for _, system := range s.systems {
				p, err := s.runner.Promotion(ctx, system, vips)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				p.Round = round
				if s.succeeded(err) {
					fmt.Fprintf(s.out, "round %-2d  %4d VIPs  %-17s  %s\n", round, vips, system.Name(), p)
					s.report.Promotions = append(s.report.Promotions, p)
				}
			}
		}
	}
	return nil
}

// costs measures what one instance and many cost; only an interruption is an error.
func (s *scaling) costs(ctx context.Context) error {
	for _, plan := range []scale.Plan{scale.OneInstance(1, time.Second), scale.ManyInstances(s.opts.instances, 100*time.Millisecond)} {
		for _, system := range s.systems {
			cost, err := s.runner.Cost(ctx, system, plan, s.opts.window)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if s.succeeded(err) {
				fmt.Fprintf(s.out, "%4d instances, adverts every %s  %-17s  %s\n", len(plan.Instances), plan.Interval, system.Name(), cost)
				s.report.Costs = append(s.report.Costs, cost)
			}
		}
	}
	return nil
}

// succeeded notes a case that could not be measured.
func (s *scaling) succeeded(err error) bool {
	if err != nil {
		fmt.Fprintln(s.out, "error:", err)
		s.report.Errors = append(s.report.Errors, err.Error())
	}
	return err == nil
}
