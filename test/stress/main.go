// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "stress: %v\n", err)
		os.Exit(1)
	}
}

// errFailures is returned when tests have failed.
var errFailures = errors.New("tests have failed")

// run is the command. What was found until ctx ends is shown all the same.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("stress", flag.ContinueOnError)
	n := flags.Int("n", 5, "how often each package is tested")
	busy := flags.Int("busy", runtime.NumCPU(), "how many threads keep processors busy meanwhile")
	timeout := flags.Duration("timeout", 20*time.Minute, "how long one run of a package may take")
	tests := flags.String("run", "", "only the tests that match, as go test has it")
	out := flags.String("out", "bench/out/stress", "where the output of runs that failed is kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *n < 1 {
		return fmt.Errorf("-n %d: a package is tested once or more", *n)
	}
	packages, err := testedPackages(ctx, flags.Args())
	if err != nil {
		return err
	}
	defer keepBusy(*busy)()
	tally := newTally()
	for _, pkg := range packages {
		for round := range *n {
			began := time.Now()
			o, err := testOnce(ctx, pkg, *tests, *timeout)
			if ctx.Err() != nil {
				break // what was cut off is no failure
			}
			if err != nil {
				return errors.Join(err, tally.write(stdout))
			}
			tally.add(pkg, o)
			text := "ok"
			if len(o.failures) > 0 {
				kept, err := keep(*out, pkg, round+1, o.output)
				if err != nil {
					return errors.Join(err, tally.write(stdout))
				}
				text = "FAIL, see " + kept
			}
			fmt.Fprintf(stdout, "%s %d/%d %.1fs %s\n", pkg, round+1, *n, time.Since(began).Seconds(), text)
		}
	}
	if err := tally.write(stdout); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if tally.failed() {
		return errFailures
	}
	return nil
}
