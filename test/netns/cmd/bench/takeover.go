// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
	"hafast/test/netns/takeover"
)

// pictureName is the file that the outages are drawn in.
const pictureName = "takeover.svg"

// takeoverOptions are what the command line asks for.
type takeoverOptions struct {
	*output
	rounds int
	alarm  time.Duration
	faults []takeover.Fault
	// systems are none where nothing is measured.
	systems []lab.System
}

func parseTakeover(args []string) (takeoverOptions, error) {
	var names []string
	for _, f := range takeover.Faults() {
		names = append(names, string(f))
	}
	fs, o := newOutput("takeover")
	fs.Lookup("out").Usage += " and " + pictureName
	fs.Lookup("write-docs").Usage = "update the section and the picture in the document"
	opts := takeoverOptions{output: o}
	fs.IntVar(&opts.rounds, "rounds", 10, "rounds; each measures every fault with every system")
	fs.DurationVar(&opts.alarm, "alarm", 20*time.Millisecond, "how long a false alarm lasts")
	faults := fs.String("faults", strings.Join(names, ","), "faults to measure")
	hosts := fs.String("hosts", "2", "on how many hosts each system is put, as 2,3,5; NAME-3 among the systems is NAME on three")
	systems := fs.String("systems", strings.Join(lab.SystemNames(), ","), "systems to measure, in turn; there are also "+strings.Join(lab.VariantNames(), ", "))
	if err := o.parse(fs, args); err != nil {
		return opts, err
	}
	if opts.rounds < 1 {
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
		for size := range strings.SplitSeq(*hosts, ",") {
			n, err := strconv.Atoi(size)
			if err != nil {
				return opts, fmt.Errorf("-hosts: %w", err)
			}
			system, err := lab.NewSystem(lab.OnHosts(name, n))
			if err != nil {
				return opts, err
			}
			opts.systems = append(opts.systems, system)
		}
	}
	return opts, nil
}

// hosts is how many hosts the largest of the systems is put on.
func (o takeoverOptions) hosts() (n int) {
	for _, system := range o.systems {
		n = max(n, system.Size())
	}
	return n
}

// benchTakeover measures and reports.
func benchTakeover(ctx context.Context, opts takeoverOptions, out io.Writer) error {
	return deliver(opts.output,
		func() (*takeover.Report, error) { return measureTakeover(ctx, opts, out) },
		func(r *takeover.Report) error { return opts.publish(illustrated{r, opts.dir, out}, out) })
}

// measureTakeover makes the report: the systems in turn, so that whatever else
// the machine does meets them all alike.
func measureTakeover(ctx context.Context, opts takeoverOptions, out io.Writer) (*takeover.Report, error) {
	report := &takeover.Report{
		Date:    time.Now(),
		Command: opts.command,
		Rounds:  opts.rounds,
		Machine: figures.ThisMachine(ctx, opts.systems),
	}
	report.Machine.Announce(out)
	err := inLab(ctx, lab.Options{Hosts: opts.hosts()}, func(l *lab.Lab) error {
		runner := takeover.Runner{Lab: l, Alarm: opts.alarm}
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
	})
	if err != nil {
		return nil, err
	}
	return report, couldNot(report.Errors)
}

// illustrated is a report with its picture, which goes to the directory and beside
// the document.
type illustrated struct {
	*takeover.Report
	dir string
	out io.Writer
}

// WriteText writes the table for a terminal, and draws the picture in the directory.
func (r illustrated) WriteText(w io.Writer) error {
	if err := r.Report.WriteText(w); err != nil {
		return err
	}
	return r.draw(r.dir)
}

// WriteDocs replaces the report's section in the Markdown file at path, and draws the
// picture that is in it.
func (r illustrated) WriteDocs(path string) error {
	if err := r.draw(filepath.Dir(path)); err != nil {
		return err
	}
	return r.Report.WriteDocs(path, pictureName)
}

func (r illustrated) draw(dir string) error {
	path := filepath.Join(dir, pictureName)
	if err := takeover.WritePicture(path, r.Results); err != nil {
		return err
	}
	fmt.Fprintln(r.out, "picture:", path)
	return nil
}
