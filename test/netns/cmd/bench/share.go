// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/share"
)

// shareOptions are what the command line asks for.
type shareOptions struct {
	*output
	rounds int
	quota  float64
	window time.Duration
}

func parseShare(args []string) (shareOptions, error) {
	fs, o := newOutput("share")
	opts := shareOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 5, "rounds; each measures every system")
	fs.Float64Var(&opts.quota, "quota", 0.2, "what each haproxy may use of a processor")
	fs.DurationVar(&opts.window, "window", 3*time.Second, "how long each system is measured")
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 || opts.window < 100*time.Millisecond {
		return opts, errUsage
	}
	// The kernel hands out no less than 1 ms in a period, which is a tenth here.
	if opts.quota < 0.1 || opts.quota > 1 {
		return opts, fmt.Errorf("-quota: %g is not between 0.1 and 1", opts.quota)
	}
	return opts, nil
}

// benchShare measures and reports.
func benchShare(ctx context.Context, opts shareOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*share.Report, error) { return measureShare(ctx, opts, out) },
		func(r *share.Report) error { return opts.publish(r, out) })
}

// measureShare makes the report, the systems in turn.
func measureShare(ctx context.Context, opts shareOptions, out io.Writer) (*share.Report, error) {
	systems, err := share.Contestants()
	if err != nil {
		return nil, err
	}
	report := &share.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		WindowS: opts.window.Seconds(),
		Quota:   opts.quota,
		Machine: figures.ThisMachine(ctx, systems),
	}
	report.Machine.Announce(out)
	err = inLab(ctx, lab.Options{}, func(l *lab.Lab) error {
		runner := share.Runner{Lab: l, Quota: opts.quota, Window: opts.window}
		for round := 1; round <= opts.rounds; round++ {
			for _, system := range systems {
				r, err := runner.Run(ctx, system)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if errors.Is(err, lab.ErrNoCPUController) {
					// It would not be there the next time either.
					return err
				}
				if err != nil {
					fmt.Fprintln(out, "error:", err)
					report.Errors = append(report.Errors, fmt.Sprintf("round %d: %v", round, err))
					continue
				}
				r.Round = round
				fmt.Fprintf(out, "round %-2d  %-15s  %s\n", round, system.Name(), r)
				report.Results = append(report.Results, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return report, couldNot(report.Errors)
}
