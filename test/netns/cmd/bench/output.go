// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"hafast/test/netns/figures"
	"hafast/test/netns/lab"
)

// output is where a measurement's figures go, and what it is repeated by. All
// measurements have the same flags for it.
type output struct {
	// name is the measurement's: of the subcommand, the make target and the JSON file.
	name      string
	dir       string
	writeDocs bool
	docs      string
	// from is a report of an earlier run to write out again instead of measuring.
	from string
	// command is the command line that does the same again.
	command string
}

// newOutput returns a measurement's flags, and what those for its output set.
func newOutput(name string) (*flag.FlagSet, *output) {
	o := &output{name: name, command: "make bench-" + name}
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	fs.StringVar(&o.dir, "out", "bench/out", "directory for "+o.file())
	fs.BoolVar(&o.writeDocs, "write-docs", false, "update the section in the document")
	fs.StringVar(&o.docs, "docs", "docs/BENCHMARKS.md", "the document that -write-docs updates")
	fs.StringVar(&o.from, "from", "", "publish this "+o.file()+" of an earlier run; measure nothing")
	return fs, o
}

func (o *output) file() string { return o.name + ".json" }

// parse reads the command line. Any flag that is not for the output makes it another
// run than the make target's.
func (o *output) parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return errUsage
	}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "out", "write-docs", "docs", "from":
		default:
			o.command = o.asGiven(args)
		}
	})
	return nil
}

// asGiven is the command line as a shell would want it.
func (o *output) asGiven(args []string) string {
	words := []string{"go run ./test/netns/cmd/bench", o.name}
	for _, a := range args {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

// quote is a word that a shell takes for one, whatever is in it.
func quote(word string) string {
	special := func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("-_=,./:+@%", r)
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// report is what a measurement comes to.
type report interface {
	WriteText(w io.Writer) error
	WriteDocs(path string) error
}

// deliver measures, or reads what was measured, and publishes it. With an error,
// measure returns the report of a whole run in which some cases failed, which is
// published all the same; or none, so that half a run is never taken for a whole one.
func deliver[R any](o *output, measure func() (*R, error), publish func(*R) error) error {
	if o.from != "" {
		r, err := figures.ReadJSON[R](o.from)
		if err != nil {
			return err
		}
		return publish(r)
	}
	r, failed := measure()
	if r == nil {
		return failed
	}
	if err := figures.WriteJSON(filepath.Join(o.dir, o.file()), r); err != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(publish(r), failed)
}

// publish shows a report and writes the document.
func (o *output) publish(r report, out io.Writer) error {
	fmt.Fprintln(out)
	if err := r.WriteText(out); err != nil || !o.writeDocs {
		return err
	}
	if err := r.WriteDocs(o.docs); err != nil {
		return err
	}
	fmt.Fprintln(out, "updated:", o.docs)
	return nil
}

// inLab measures in a lab of its own.
func inLab(ctx context.Context, opts lab.Options, measure func(*lab.Lab) error) (err error) {
	l, err := lab.New(ctx, opts)
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return measure(l)
}

// couldNot is the error of a run in which some cases could not be measured.
func couldNot(failures []string) error {
	if len(failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d cases could not be measured: %s", len(failures), strings.Join(failures, "; "))
}
