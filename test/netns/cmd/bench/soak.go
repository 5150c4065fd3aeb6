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
	"hafast/test/netns/soak"
)

// soakOptions are what the command line asks for.
type soakOptions struct {
	long       time.Duration
	interval   time.Duration
	multiplier int
	out        string
	writeDocs  bool
	docs       string
	command    string
}

func parseSoak(args []string) (soakOptions, error) {
	opts := soakOptions{command: "make bench-soak"}
	fs := flag.NewFlagSet("bench soak", flag.ContinueOnError)
	fs.DurationVar(&opts.long, "for", 10*time.Minute, "how long")
	fs.DurationVar(&opts.interval, "interval", 2*time.Millisecond, "the pause between probes")
	fs.IntVar(&opts.multiplier, "multiplier", 3, "so many unanswered in a row mean down")
	fs.StringVar(&opts.out, "out", "bench/out", "directory for soak.json")
	fs.BoolVar(&opts.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&opts.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 || opts.long <= 0 {
		return opts, errUsage
	}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "for", "interval", "multiplier":
			opts.command = "go run ./test/netns/cmd/bench soak " + strings.Join(args, " ")
		}
	})
	return opts, nil
}

// benchSoak measures and reports.
func benchSoak(ctx context.Context, opts soakOptions, out io.Writer) (err error) {
	sys, err := lab.NewHafast()
	if err != nil {
		return err
	}
	sys.AdvertInterval = time.Second
	sys.Liveness = lab.Liveness{Interval: opts.interval, Multiplier: opts.multiplier}
	report := &soak.Report{
		Date: time.Now(), Command: opts.command, ForS: opts.long.Seconds(),
		Machine: figures.ThisMachine(ctx, []lab.System{sys}),
	}
	report.Machine.Announce(out)
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	runner := soak.Runner{Lab: l, For: opts.long, Progress: func(elapsed time.Duration) {
		fmt.Fprintf(out, "%v of %v\n", elapsed.Round(time.Second), opts.long)
	}}
	if report.Results, err = runner.Run(ctx, sys); err != nil {
		return err
	}
	if err := figures.WriteJSON(filepath.Join(opts.out, "soak.json"), report); err != nil {
		return err
	}
	if err := report.WriteText(out); err != nil || !opts.writeDocs {
		return err
	}
	text, err := report.Markdown()
	if err != nil {
		return err
	}
	return figures.WriteSection(opts.docs, "soak", text)
}
