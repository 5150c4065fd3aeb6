// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"fmt"

	"hafast/test/netns/figures"
)

// NewTable is the rows as text, a group for each fault.
func NewTable(rows []Row) figures.Table {
	t := figures.Table{Header: header(), Names: 2}
	for _, r := range rows {
		t.Rows = append(t.Rows, r.cells())
	}
	return t
}

// header names the columns of a table of rows.
func header() []string {
	return []string{
		"fault", "system", "outage median", "p90", "max",
		"failed attempts", "held survive", "on the other host", "answer for the VIP",
	}
}

// cells are a row's columns as text. Durations are in milliseconds; what differs
// between rounds is given as the least and the most.
func (r Row) cells() []string {
	if r.Rounds == 0 {
		return []string{string(r.Fault), r.System, "n/a", "", "", "", "", "", ""}
	}
	outage := func(ms float64) string { return formatMS(ms) + " ms" }
	maximum := outage(r.Outage.Max)
	if r.NotRecovered > 0 {
		maximum = fmt.Sprintf("%d of %d never ended", r.NotRecovered, r.Rounds)
	}
	responders := span(r.Responders)
	if r.Misplaced > 0 {
		where := "not taken over"
		if !r.Fault.MovesVIP() {
			where = "not where it was"
		}
		responders += fmt.Sprintf(" (%d of %d %s)", r.Misplaced, r.Rounds, where)
	}
	return []string{
		string(r.Fault), r.System,
		outage(r.Outage.Median), outage(r.Outage.P90), maximum,
		span(r.Failed), fmt.Sprintf("%s / %d", span(r.Survivors), r.Held),
		fmt.Sprintf("%d / %d", r.SurvivorsOnSurvivor, r.HeldOnSurvivor), responders,
	}
}

// formatMS writes milliseconds with three digits or so.
func formatMS(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

// span writes the range of a sample of whole numbers.
func span(s figures.Stats) string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.0f", s.Min)
	}
	return fmt.Sprintf("%.0f-%.0f", s.Min, s.Max)
}
