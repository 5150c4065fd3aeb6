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
	"hafast/test/netns/takeover"
)

// takeoverOptions are what the command line asks for.
type takeoverOptions struct {
	rounds    int
	faults    []takeover.Fault
	systems   []lab.System
	out       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from string
	// command is the command line that does the same again.
	command string
}

func parseTakeover(args []string) (takeoverOptions, error) {
	var names []string
	for _, f := range takeover.Faults() {
		names = append(names, string(f))
	}
	opts := takeoverOptions{command: strings.TrimSpace("go run ./test/netns/cmd/bench takeover " + strings.Join(args, " "))}
	fs := flag.NewFlagSet("bench takeover", flag.ContinueOnError)
	fs.IntVar(&opts.rounds, "rounds", 10, "rounds; each measures every fault with every system")
	faults := fs.String("faults", strings.Join(names, ","), "faults to measure")
	systems := fs.String("systems", strings.Join(lab.SystemNames(), ","), "systems to measure, in turn; there are also "+strings.Join(lab.VariantNames(), ", "))
	fs.StringVar(&opts.out, "out", "bench/out", "directory for takeover.json and takeover.svg")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section and the picture in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&opts.from, "from", "", "write table, picture and document from this takeover.json; measure nothing")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.rounds < 1 {
		return opts, errUsage
	}
	for name := range strings.SplitSeq(*faults, ",") {
		fault, err := takeover.ParseFault(name)
		if err != nil {
			return opts, err
		}
		opts.faults = append(opts.faults, fault)
	}
	if opts.from != "" {
		return opts, nil
	}
	for name := range strings.SplitSeq(*systems, ",") {
		system, err := lab.NewSystem(name)
		if err != nil {
			return opts, err
		}
		opts.systems = append(opts.systems, system)
	}
	return opts, nil
}

// benchTakeover measures and reports. An interrupted run reports nothing, so
// that half a run is never taken for a whole one.
func benchTakeover(ctx context.Context, opts takeoverOptions, out io.Writer) error {
	if opts.from != "" {
		report, err := figures.ReadJSON[takeover.Report](opts.from)
		if err != nil {
			return err
		}
		return publish(report, opts, out)
	}
	report := &takeover.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		Machine: figures.ThisMachine(ctx, opts.systems),
	}
	report.Machine.Announce(out)
	if err := measureAll(ctx, opts, report, out); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "takeover.json"), report); err != nil {
		return err
	}
	if err := publish(report, opts, out); err != nil {
		return err
	}
	if len(report.Errors) > 0 {
		return fmt.Errorf("%d cases could not be measured: %s", len(report.Errors), strings.Join(report.Errors, "; "))
	}
	return nil
}

// measureAll fills the report: the systems in turn, so that whatever else
// the machine does meets them all alike.
func measureAll(ctx context.Context, opts takeoverOptions, report *takeover.Report, out io.Writer) (err error) {
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()

	runner := takeover.Runner{Lab: l}
	progress := newProgress(out, opts)
	for round := 1; round <= opts.rounds; round++ {
		for _, fault := range opts.faults {
			for _, system := range opts.systems {
				result, err := runner.Run(ctx, system, fault)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				result.Round = round
				progress.report(result, err)
				if err != nil {
					report.Errors = append(report.Errors, fmt.Sprintf("round %d: %v", round, err))
					continue
				}
				report.Results = append(report.Results, result)
			}
		}
	}
	return nil
}

// publish shows the table and writes the picture and the document.
func publish(report *takeover.Report, opts takeoverOptions, out io.Writer) error {
	fmt.Fprintln(out)
	if err := takeover.NewTable(takeover.Rows(report.Results)).WriteText(out); err != nil {
		return err
	}
	pictures := []string{filepath.Join(opts.out, "takeover.svg")}
	const name = "takeover.svg"
	if opts.writeDocs {
		pictures = append(pictures, filepath.Join(filepath.Dir(opts.docs), name))
	}
	for _, path := range pictures {
		if err := takeover.WritePicture(path, report.Results); err != nil {
			return err
		}
		fmt.Fprintln(out, "picture:", path)
	}
	if !opts.writeDocs {
		return nil
	}
	if err := report.WriteDocs(opts.docs, name); err != nil {
		return err
	}
	fmt.Fprintln(out, "updated:", opts.docs)
	return nil
}
