// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"io"
	"slices"
	"time"

	"hafast/test/netns/figures"
)

// Report is a whole benchmark, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Rounds  int             `json:"rounds"`
	Machine figures.Machine `json:"machine"`
	Results []Result        `json:"results"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

// WriteText writes the table for a terminal.
func (r *Report) WriteText(w io.Writer) error { return NewTable(Rows(r.Results)).WriteText(w) }

// Row sums up the rounds of one fault and system.
type Row struct {
	Fault  Fault
	System string
	// Rounds is how many were measured; 0 when the fault does not apply.
	Rounds int
	// Outage is in milliseconds.
	Outage figures.Stats
	// Failed attempts, held connections that survived, and hosts that answer ARP
	// for the VIP, per round.
	Failed, Survivors, Responders figures.Stats
	// Held is how many connections were held.
	Held int
	// HeldOnSurvivor and SurvivorsOnSurvivor add up, over all rounds, the connections
	// whose haproxy is on the host that was not hit, before and after.
	HeldOnSurvivor, SurvivorsOnSurvivor int
	// Misplaced and NotRecovered count the rounds that ended so: with the VIP
	// elsewhere than expected, or without service.
	Misplaced, NotRecovered int
}

// Rows groups the results by fault in the order of Faults, and by system in
// the order in which they appear.
func Rows(results []Result) []Row {
	var systems []string
	for _, r := range results {
		if !slices.Contains(systems, r.System) {
			systems = append(systems, r.System)
		}
	}
	var rows []Row
	for _, fault := range Faults() {
		for _, system := range systems {
			var group []Result
			for _, r := range results {
				if r.Fault == fault && r.System == system {
					group = append(group, r)
				}
			}
			if len(group) > 0 {
				rows = append(rows, newRow(fault, system, group))
			}
		}
	}
	return rows
}

func newRow(fault Fault, system string, group []Result) Row {
	row := Row{Fault: fault, System: system}
	var outage, failed, survivors, responders []float64
	for _, r := range group {
		if r.NotApplicable {
			continue
		}
		row.Rounds++
		row.Held = max(row.Held, r.Held)
		outage = append(outage, r.OutageMS)
		failed = append(failed, float64(r.Failed))
		survivors = append(survivors, float64(r.Survivors))
		responders = append(responders, float64(r.Responders))
		row.HeldOnSurvivor += r.HeldOnSurvivor
		row.SurvivorsOnSurvivor += r.SurvivorsOnSurvivor
		if !r.AsExpected {
			row.Misplaced++
		}
		if !r.Recovered {
			row.NotRecovered++
		}
	}
	row.Outage, row.Failed = figures.Summarise(outage), figures.Summarise(failed)
	row.Survivors, row.Responders = figures.Summarise(survivors), figures.Summarise(responders)
	return row
}
