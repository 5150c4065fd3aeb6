// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a kernel's row of the table.
type Report struct {
	Series  string
	Release string
	// Err is why there are no results, or not all.
	Err     error
	Results Results
	Verdict Verdict
	Took    time.Duration
	Console string // the file with the kernel's log, if it was kept
}

// OK reports whether the kernel passed.
func (r Report) OK() bool { return r.Err == nil && len(r.Verdict.Faults) == 0 }

// Column is a column of the table that shows what became of one test.
type Column struct {
	Title, Package, Test string
}

// cell is the outcome of the column's test, or "-" if it did not run.
func (c Column) cell(results Results) string {
	for _, p := range results.Packages {
		if p.Package != c.Package {
			continue
		}
		for _, t := range p.Tests {
			if t.Name == c.Test {
				return map[Outcome]string{Passed: "yes", Failed: "NO", Skipped: "skipped", Unfinished: "NO"}[t.Outcome]
			}
		}
	}
	return "-"
}

// WriteTable writes a row for each kernel.
func WriteTable(w io.Writer, reports []Report, columns []Column) error {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c Column) bool {
		return !slices.ContainsFunc(reports, func(r Report) bool { return c.cell(r.Results) != "-" })
	})
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"kernel", "release"}
	for _, c := range columns {
		head = append(head, c.Title)
	}
	head = append(head, "passed", "failed", "skipped", "faults", "time")
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	for _, r := range reports {
		if r.Err != nil && len(r.Results.Packages) == 0 {
			why := "did not run"
			if errors.Is(r.Err, ErrNotServed) {
				why = ErrNotServed.Error()
			}
			nothing := strings.Repeat("\t-", len(head)-2)
			fmt.Fprintf(tw, "%s\t%s%s\n", r.Series, why, nothing)
			continue
		}
		row := []string{r.Series, r.Release}
		for _, c := range columns {
			row = append(row, c.cell(r.Results))
		}
		row = append(row, strconv.Itoa(r.Verdict.Passed), strconv.Itoa(r.Verdict.Failed), strconv.Itoa(r.Verdict.Skipped),
			strconv.Itoa(len(r.Verdict.Faults)), r.Took.Round(time.Second).String())
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// WriteFaults writes what each kernel has not passed, with what the tests printed.
func WriteFaults(w io.Writer, reports []Report) {
	for _, r := range reports {
		if r.Err != nil {
			fmt.Fprintf(w, "\n%s: %v\n", r.Series, r.Err)
		}
		for _, f := range r.Verdict.Faults {
			fmt.Fprintf(w, "\n%s: %s: %s\n", r.Series, strings.TrimSpace(f.Package+" "+f.Test), f.Why)
			for line := range strings.Lines(tail(f.Output)) {
				fmt.Fprintf(w, "    %s\n", strings.TrimRight(line, "\n"))
			}
		}
		for _, f := range r.Verdict.Excused {
			fmt.Fprintf(w, "%s: %s %s: %s\n", r.Series, f.Package, f.Test, f.Why)
		}
		if r.Console != "" && !r.OK() {
			fmt.Fprintf(w, "%s: the kernel's log is in %s\n", r.Series, r.Console)
		}
	}
}
