// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is figures as text. Rows with the same first cell form a group and stand
// together.
type Table struct {
	Header []string
	// Names is how many columns on the left name things; the others hold figures.
	Names int
	// Rows have as many cells as the header.
	Rows [][]string
}

// WriteText writes the table for a terminal, an empty line between groups, whose
// name is written once.
func (t Table) WriteText(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(t.Header, "\t"))
	for i, row := range t.Rows {
		group := row[0]
		switch {
		case i == 0:
		case t.Rows[i-1][0] == row[0]:
			group = ""
		default:
			fmt.Fprintln(tw, strings.Repeat("\t", len(row)-1))
		}
		fmt.Fprintln(tw, strings.Join(append([]string{group}, row[1:]...), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown writes the table as Markdown.
func (t Table) WriteMarkdown(w io.Writer) error {
	rule := make([]string, len(t.Header))
	for i := range rule {
		rule[i] = "---"
		if i >= t.Names {
			rule[i] = "---:"
		}
	}
	for _, cells := range append([][]string{t.Header, rule}, t.Rows...) {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}
