// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"hafast/internal/control"
)

func newFlows() *cobra.Command {
	var (
		socket string
		asJSON bool
		limit  int
	)
	cmd := &cobra.Command{
		Use:     "flows",
		GroupID: groupClient,
		Short:   "Show which haproxy each connection goes to",
		Long: `Show the flow table of this host: each connection whose packets arrive here, the
haproxy it goes to, whether its end has been seen (closing) and how long nothing
has come from its client. The order is the table's. The list comes as it is
read, so a million flows take a while and no memory; --limit shows the first
ones. A connection that has just begun is not in the table yet.`,
		Example: `  hafast flows
  hafast flows --limit 20
  hafast flows --json | jq -r '.[].target' | sort | uniq -c`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError(cmd, fmt.Errorf("--limit %d: want a number above 0, or 0 for all", limit))
			}
			flows := control.NewClient(socket).Flows(cmd.Context(), limit)
			if asJSON {
				return writeFlowArray(cmd.OutOrStdout(), flows)
			}
			return writeFlowTable(cmd.OutOrStdout(), flows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, one flow per line")
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "show so many flows at most; 0 for all")
	completeNothing(cmd, "limit")
	socketFlag(cmd, &socket)
	return cmd
}

// writeFlowArray writes one JSON document. It has no end when the list has none,
// so that no parser takes a part for the whole.
func writeFlowArray(out io.Writer, flows iter.Seq2[control.Flow, error]) error {
	array := newJSONArray(out)
	for f, err := range flows {
		if err == nil {
			err = array.add(f)
		}
		if err != nil {
			_ = array.flush() // What failed first is what is told.
			return err
		}
	}
	return array.end()
}

// writeFlowTable writes a line for each flow below a heading.
func writeFlowTable(out io.Writer, flows iter.Seq2[control.Flow, error]) error {
	t := newStreamTable(out, "PROTO", "CLIENT", "VIP", "TARGET", "ADDRESS", "STATE", "IDLE")
	for f, err := range flows {
		if err == nil {
			err = t.row(f.Proto, f.Client, f.VIP, orDash(f.Target), orDash(f.TargetAddress), flowState(f), idle(f.IdleSeconds))
		}
		if err != nil {
			t.abandon()
			return err
		}
	}
	return t.end()
}

func flowState(f control.Flow) string {
	if f.Closing {
		return "closing"
	}
	return "open"
}

// idle is an age that is told in tenths of a second while it is short.
func idle(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", max(d, 0).Truncate(100*time.Millisecond).Seconds())
	}
	return age(d)
}

// streamTable aligns columns without knowing all rows: the first ones decide how
// wide the columns are, and a later cell that is wider pushes its row aside.
type streamTable struct {
	out *bufio.Writer
	// waiting are the first rows, the heading among them; nil once they are out.
	waiting [][]string
	widths  []int
}

// streamSample is how many rows decide.
const streamSample = 256

func newStreamTable(out io.Writer, headings ...string) *streamTable {
	t := &streamTable{out: bufio.NewWriter(out), widths: make([]int, len(headings))}
	t.keep(headings)
	return t
}

func (t *streamTable) row(cells ...string) error {
	if t.waiting == nil {
		return t.print(cells)
	}
	t.keep(cells)
	if len(t.waiting) <= streamSample {
		return nil
	}
	return t.release()
}

// keep lets a row take part in the decision.
func (t *streamTable) keep(cells []string) {
	t.waiting = append(t.waiting, cells)
	for i, cell := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}

// release prints what waits.
func (t *streamTable) release() error {
	for _, cells := range t.waiting {
		if err := t.print(cells); err != nil {
			return err
		}
	}
	t.waiting = nil
	return nil
}

func (t *streamTable) print(cells []string) error {
	var line strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&line, "%-*s  ", t.widths[i], cell)
	}
	_, err := t.out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	return outputError(err)
}

// abandon prints the rows that came before a failure, which is what is told: a
// second one is not.
func (t *streamTable) abandon() {
	if len(t.waiting) != 1 { // Nothing but the heading has come.
		_ = t.end()
	}
}

func (t *streamTable) end() error {
	if err := t.release(); err != nil {
		return err
	}
	return outputError(t.out.Flush())
}
