package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/scale"
)

// scaleOptions are what the command line asks for.
type scaleOptions struct {
	rounds int
	// vips are the sizes of the instance that is promoted; none to leave that out.
	vips []int
	// instances is how many there are at the most; 0 to leave the costs out.
	instances int
	window    time.Duration
	out       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from    string
	command string
}

func parseScale(args []string) (scaleOptions, error) {
	opts := scaleOptions{command: "make bench-scale"}
	fs := flag.NewFlagSet("bench scale", flag.ContinueOnError)
	fs.IntVar(&opts.rounds, "rounds", 5, "rounds of promotions; each measures every size with every system")
	vips := fs.String("vips", "1,10,100,1000", "numbers of VIPs in the instance that is promoted; empty for none")
	fs.IntVar(&opts.instances, "instances", 255, "how many instances the larger cost is measured with; 0 for no costs")
	fs.DurationVar(&opts.window, "window", 20*time.Second, "how long costs are measured")
	fs.StringVar(&opts.out, "out", "bench/out", "directory for scale.json")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&opts.from, "from", "", "write tables and document from this scale.json; measure nothing")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.rounds < 1 || opts.window < time.Second || opts.instances < 0 || opts.instances > 255 {
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
	// What was left out or done otherwise is not what the make target does.
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "vips", "instances", "window", "rounds":
			opts.command = "go run ./test/netns/cmd/bench scale " + strings.Join(args, " ")
		}
	})
	return opts, nil
}

// benchScale measures and reports; like benchTakeover, whole runs only.
func benchScale(ctx context.Context, opts scaleOptions, out io.Writer) error {
	if opts.from != "" {
		report, err := figures.ReadJSON[scale.Report](opts.from)
		if err != nil {
			return err
		}
		return publishScale(report, opts, out)
	}
	systems, err := scale.Contestants()
	if err != nil {
		return err
	}
	report := &scale.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		Machine: figures.ThisMachine(ctx, systems),
	}
	report.Machine.Announce(out)
	if err := measureScale(ctx, opts, systems, report, out); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "scale.json"), report); err != nil {
		return err
	}
	if err := publishScale(report, opts, out); err != nil {
		return err
	}
	if len(report.Errors) > 0 {
		return fmt.Errorf("%d cases could not be measured: %s", len(report.Errors), strings.Join(report.Errors, "; "))
	}
	return nil
}

// measureScale fills the report, the systems in turn.
func measureScale(ctx context.Context, opts scaleOptions, systems []scale.Contestant, report *scale.Report, out io.Writer) (err error) {
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	runner := scale.Runner{Lab: l}
	note := func(err error) bool {
		if err != nil {
			fmt.Fprintln(out, "error:", err)
			report.Errors = append(report.Errors, err.Error())
		}
		return err == nil
	}
	for round := 1; round <= opts.rounds; round++ {
		for _, vips := range opts.vips {
			for _, system := range systems {
				p, err := runner.Promotion(ctx, system, vips)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				p.Round = round
				if note(err) {
					fmt.Fprintf(out, "round %-2d  %4d VIPs  %-17s  %s\n", round, vips, system.Name(), p)
					report.Promotions = append(report.Promotions, p)
				}
			}
		}
	}
	if opts.instances == 0 {
		return nil
	}
	for _, plan := range []scale.Plan{scale.OneInstance(1, time.Second), scale.ManyInstances(opts.instances, 100*time.Millisecond)} {
		for _, system := range systems {
			cost, err := runner.Cost(ctx, system, plan, opts.window)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if note(err) {
				fmt.Fprintf(out, "%4d instances, adverts every %s  %-17s  %s\n", len(plan.Instances), plan.Interval, system.Name(), cost)
				report.Costs = append(report.Costs, cost)
			}
		}
	}
	return nil
}

// publishScale shows the tables and writes the document.
func publishScale(report *scale.Report, opts scaleOptions, out io.Writer) error {
	fmt.Fprintln(out)
	if err := report.WriteText(out); err != nil {
		return err
	}
	if !opts.writeDocs {
		return nil
	}
	if err := report.WriteDocs(opts.docs); err != nil {
		return err
	}
	fmt.Fprintln(out, "updated:", opts.docs)
	return nil
}
