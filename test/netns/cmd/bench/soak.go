// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/soak"
)

// soakOptions are what the command line asks for.
type soakOptions struct {
	*output
	long       time.Duration
	interval   time.Duration
	multiplier int
}

func parseSoak(args []string) (soakOptions, error) {
	fs, o := newOutput("soak")
	opts := soakOptions{output: o}
	fs.DurationVar(&opts.long, "for", 10*time.Minute, "how long")
	fs.DurationVar(&opts.interval, "interval", 2*time.Millisecond, "the pause between probes")
	fs.IntVar(&opts.multiplier, "multiplier", 3, "so many unanswered in a row mean down")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.long <= 0 {
		return opts, errUsage
	}
	return opts, nil
}

// benchSoak measures and reports.
func benchSoak(ctx context.Context, opts soakOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*soak.Report, error) { return measureSoak(ctx, opts, out) },
		func(r *soak.Report) error { return opts.publish(r, out) })
}

// measureSoak makes the report.
func measureSoak(ctx context.Context, opts soakOptions, out io.Writer) (*soak.Report, error) {
	sys, err := lab.NewHafast()
	if err != nil {
		return nil, err
	}
	sys.AdvertInterval = time.Second
	sys.Liveness = lab.Liveness{Interval: opts.interval, Multiplier: opts.multiplier}
	report := &soak.Report{
		Date:    time.Now(),
		Command: opts.command,
		ForS:    opts.long.Seconds(),
		Machine: figures.ThisMachine(ctx, []lab.System{sys}),
	}
	report.Machine.Announce(out)
	err = inLab(ctx, lab.Options{}, func(l *lab.Lab) (err error) {
		runner := soak.Runner{Lab: l, For: opts.long, Progress: func(elapsed time.Duration) {
			fmt.Fprintf(out, "%v of %v\n", elapsed.Round(time.Second), opts.long)
		}}
		report.Results, err = runner.Run(ctx, sys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}
