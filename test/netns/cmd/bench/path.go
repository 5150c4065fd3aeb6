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
	"hafast/test/netns/path"
)

// pathOptions are what the command line asks for.
type pathOptions struct {
	rounds    int
	ways      []path.Way
	window    time.Duration
	out       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from    string
	command string
}

func parsePath(args []string) (pathOptions, error) {
	opts := pathOptions{command: "make bench-path"}
	fs := flag.NewFlagSet("bench path", flag.ContinueOnError)
	fs.IntVar(&opts.rounds, "rounds", 3, "rounds; each measures every load over every way")
	ways := fs.String("ways", strings.Join(path.WayNames(), ","), "ways to measure, in turn")
	fs.DurationVar(&opts.window, "window", 3*time.Second, "how long each load is measured")
	fs.StringVar(&opts.out, "out", "bench/out", "directory for path.json")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&opts.from, "from", "", "write table and document from this path.json; measure nothing")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.rounds < 1 || opts.window < 100*time.Millisecond {
		return opts, errUsage
	}
	for name := range strings.SplitSeq(*ways, ",") {
		way, err := path.ParseWay(name)
		if err != nil {
			return opts, err
		}
		opts.ways = append(opts.ways, way)
	}
	// What was left out or done otherwise is not what the make target does.
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "rounds", "ways", "window":
			opts.command = "go run ./test/netns/cmd/bench path " + quoteAll(args)
		}
	})
	return opts, nil
}

// quoteAll is the arguments as a shell would want them.
func quoteAll(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if strings.Contains(a, " ") {
			quoted[i] = "'" + a + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// benchPath measures and reports; like benchTakeover, whole runs only.
func benchPath(ctx context.Context, opts pathOptions, out io.Writer) error {
	if opts.from != "" {
		report, err := figures.ReadJSON[path.Report](opts.from)
		if err != nil {
			return err
		}
		return publishPath(report, opts, out)
	}
	hafast, err := lab.NewHafast()
	if err != nil {
		return err
	}
	report := &path.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		WindowS: opts.window.Seconds(),
		Machine: figures.ThisMachine(ctx, []lab.System{hafast, lab.KeepalivedSeed()}),
	}
	report.Machine.Announce(out)
	if err := measurePath(ctx, opts, report, out); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "path.json"), report); err != nil {
		return err
	}
	if err := publishPath(report, opts, out); err != nil {
		return err
	}
	return couldNot(report.Errors)
}

// measurePath fills the report, the ways in turn.
func measurePath(ctx context.Context, opts pathOptions, report *path.Report, out io.Writer) (err error) {
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
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
}

// publishPath shows the table and writes the document.
func publishPath(report *path.Report, opts pathOptions, out io.Writer) error {
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

// couldNot is the error of a run in which some cases could not be measured.
func couldNot(failures []string) error {
	if len(failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d cases could not be measured: %s", len(failures), strings.Join(failures, "; "))
}
