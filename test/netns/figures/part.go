// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"fmt"
	"io"
)

// Part is one of a report's tables, with what is to be said about it. One whose table is
// empty is left out, as when only one thing was measured.
type Part struct {
	Title, Text string
	Table       Table
}

// WriteParts writes the tables for a terminal.
func WriteParts(w io.Writer, parts []Part) error {
	for n, p := range parts {
		if len(p.Table.Rows) == 0 {
			continue
		}
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n\n", p.Title)
		if err := p.Table.WriteText(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdownParts writes them for a document, with their texts.
func WriteMarkdownParts(w io.Writer, parts []Part) error {
	for _, p := range parts {
		if len(p.Table.Rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n\n%s\n\n", p.Title, p.Text)
		if err := p.Table.WriteMarkdown(w); err != nil {
			return err
		}
	}
	return nil
}
