package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/program/cost"
)

// xdpOptions are what the command line asks for.
type xdpOptions struct {
	cost      cost.Options
	out       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from    string
	command string
}

func parseXDP(args []string) (xdpOptions, error) {
	opts := xdpOptions{command: "make bench-xdp"}
	fs := flag.NewFlagSet("bench xdp", flag.ContinueOnError)
	fs.IntVar(&opts.cost.Rounds, "rounds", 15, "rounds of each case")
	fs.IntVar(&opts.cost.Packets, "packets", 200_000, "packets of each round")
	fs.IntVar(&opts.cost.Many, "many", 1_000_000, "flows in the full table, and packets of a flood")
	fs.IntVar(&opts.cost.Some, "some", 100_000, "flows of the random traffic")
	fs.StringVar(&opts.out, "out", "bench/out", "directory for xdp.json")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&opts.from, "from", "", "write tables and document from this xdp.json; measure nothing")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.cost.Rounds < 1 || opts.cost.Packets < 1 || opts.cost.Some < 1 {
		return opts, errUsage
	}
	if opts.cost.Many < opts.cost.Some || opts.cost.Many > 1<<23 {
		return opts, fmt.Errorf("-many: %d is not between -some and %d", opts.cost.Many, 1<<23)
	}
	// What was left out or done otherwise is not what the make target does.
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "rounds", "packets", "many", "some":
			opts.command = "go run ./test/netns/cmd/bench xdp " + strings.Join(args, " ")
		}
	})
	return opts, nil
}

// benchXDP measures and reports; like benchTakeover, whole runs only.
func benchXDP(ctx context.Context, opts xdpOptions, out io.Writer) error {
	if opts.from != "" {
		report, err := figures.ReadJSON[cost.Report](opts.from)
		if err != nil {
			return err
		}
		return publishXDP(report, opts, out)
	}
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
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "xdp.json"), report); err != nil {
		return err
	}
	return publishXDP(report, opts, out)
}

// publishXDP shows the tables and writes the document.
func publishXDP(report *cost.Report, opts xdpOptions, out io.Writer) error {
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
