// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// tally counts which tests have failed, in the order in which they first did.
type tally struct {
	runs  map[string]int // of packages
	order []testID
	rows  map[testID]*row
}

// testID is a test of a package.
type testID struct{ pkg, test string }

// row is what is known of a test that has failed.
type row struct {
	failures int
	line     string // of the first one
}

func newTally() *tally { return &tally{runs: map[string]int{}, rows: map[testID]*row{}} }

// add counts one run of a package.
func (t *tally) add(pkg string, o outcome) {
	t.runs[pkg]++
	for _, f := range o.failures {
		id := testID{pkg, f.test}
		if t.rows[id] == nil {
			t.rows[id] = &row{line: f.line}
			t.order = append(t.order, id)
		}
		t.rows[id].failures++
	}
}

// failed reports whether any test has.
func (t *tally) failed() bool { return len(t.order) > 0 }

// write shows the failures as a table.
func (t *tally) write(w io.Writer) error {
	total := 0
	for _, n := range t.runs {
		total += n
	}
	if _, err := fmt.Fprintf(w, "\n%d runs of %d packages\n", total, len(t.runs)); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if t.failed() {
		fmt.Fprintln(table, "package\ttest\tfailures\tfirst line of the first")
	}
	for _, id := range t.order {
		r := t.rows[id]
		fmt.Fprintf(table, "%s\t%s\t%d of %d\t%s\n", id.pkg, id.test, r.failures, t.runs[id.pkg], r.line)
	}
	return table.Flush()
}
