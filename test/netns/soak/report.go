// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hafast/test/netns/figures"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	ForS    float64         `json:"for_s"`
	Machine figures.Machine `json:"machine"`
	Results []Result        `json:"results"`
}

func (r *Report) table() figures.Table {
	t := figures.Table{Names: 1, Header: []string{
		"host", "probes", "unanswered", "rows of 1, 2, 3, ... unanswered", "longest row",
		"peer taken for dead", "lease lapses", "transitions",
	}}
	for _, x := range r.Results {
		rows := strings.Trim(fmt.Sprint(x.Liveness.MissRuns), "[]")
		if rows == "" {
			rows = "none"
		}
		t.Rows = append(t.Rows, []string{
			x.Host, fmt.Sprint(x.Liveness.Sent), fmt.Sprint(x.Liveness.Missed), strings.ReplaceAll(rows, " ", ", "),
			fmt.Sprint(x.Liveness.LongestMiss), fmt.Sprint(x.Downs), fmt.Sprint(x.Lapses), fmt.Sprint(x.Transitions),
		})
	}
	return t
}

// WriteText writes the table for a terminal.
func (r *Report) WriteText(w io.Writer) error { return r.table().WriteText(w) }

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "soak", section)
}

func (r *Report) section() (string, error) {
	var b strings.Builder
	interval, multiplier := 0.0, 0
	if len(r.Results) > 0 {
		interval, multiplier = r.Results[0].Liveness.IntervalMS, r.Results[0].Liveness.Multiplier
	}
	fmt.Fprintf(&b, "## A long time on a busy machine\n\n")
	fmt.Fprintf(&b, "A pair that probes each other every %g ms and takes %d unanswered probes in a row for death stood "+
		"for %v, while another process kept each processor busy. A row of unanswered probes that reaches %d is a false "+
		"alarm.\n\n", interval, multiplier, time.Duration(r.ForS*float64(time.Second)), multiplier)
	if err := r.table().WriteMarkdown(&b); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
