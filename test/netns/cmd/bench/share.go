package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/share"
)

// shareOptions are what the command line asks for.
type shareOptions struct {
	rounds    int
	quota     float64
	window    time.Duration
	out       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from    string
	command string
}

func parseShare(args []string) (shareOptions, error) {
	opts := shareOptions{command: "make bench-share"}
	fs := flag.NewFlagSet("bench share", flag.ContinueOnError)
	fs.IntVar(&opts.rounds, "rounds", 5, "rounds; each measures every system")
	fs.Float64Var(&opts.quota, "quota", 0.2, "what each haproxy may use of a processor")
	fs.DurationVar(&opts.window, "window", 3*time.Second, "how long each system is measured")
	fs.StringVar(&opts.out, "out", "bench/out", "directory for share.json")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&opts.from, "from", "", "write table and document from this share.json; measure nothing")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.rounds < 1 || opts.window < 100*time.Millisecond {
		return opts, errUsage
	}
	// The kernel hands out no less than 1 ms in a period, which is a tenth here.
	if opts.quota < 0.1 || opts.quota > 1 {
		return opts, fmt.Errorf("-quota: %g is not between 0.1 and 1", opts.quota)
	}
	// What was left out or done otherwise is not what the make target does.
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "rounds", "quota", "window":
			opts.command = "go run ./test/netns/cmd/bench share " + strings.Join(args, " ")
		}
	})
	return opts, nil
}

// benchShare measures and reports; like benchTakeover, whole runs only.
func benchShare(ctx context.Context, opts shareOptions, out io.Writer) error {
	if opts.from != "" {
		report, err := figures.ReadJSON[share.Report](opts.from)
		if err != nil {
			return err
		}
		return publishShare(report, opts, out)
	}
	systems, err := share.Contestants()
	if err != nil {
		return err
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
	if err := measureShare(ctx, opts, systems, report, out); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "share.json"), report); err != nil {
		return err
	}
	if err := publishShare(report, opts, out); err != nil {
		return err
	}
	return couldNot(report.Errors)
}

// measureShare fills the report, the systems in turn.
func measureShare(ctx context.Context, opts shareOptions, systems []lab.System, report *share.Report, out io.Writer) (err error) {
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
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
}

// publishShare shows the table and writes the document.
func publishShare(report *share.Report, opts shareOptions, out io.Writer) error {
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
