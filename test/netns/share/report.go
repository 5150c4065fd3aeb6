// SPDX-License-Identifier: Apache-2.0

package share

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"hafast/test/netns/figures"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Rounds  int             `json:"rounds"`
	WindowS float64         `json:"window_s"`
	Quota   float64         `json:"quota"`
	Machine figures.Machine `json:"machine"`
	Results []Result        `json:"results"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

// local names the system that the others are compared with: hafast that keeps every
// flow on the active host.
const local = "hafast, local"

// row sums up the rounds of one system.
type row struct {
	system                          string
	rate                            figures.Stats
	failed                          uint64
	active, standby                 figures.Stats
	activeThrottle, standbyThrottle figures.Stats
	client, web, idle               figures.Stats
}

// rows groups the results by system in the order in which they appear.
func rows(results []Result) []row {
	var systems []string
	for _, r := range results {
		if !slices.Contains(systems, r.System) {
			systems = append(systems, r.System)
		}
	}
	var rows []row
	for _, system := range systems {
		out := row{system: system}
		of := func(field func(Result) float64) figures.Stats {
			var sample []float64
			for _, r := range results {
				if r.System == system {
					sample = append(sample, field(r))
				}
			}
			return figures.Summarise(sample)
		}
		out.rate = of(func(r Result) float64 { return r.Rate })
		out.active = of(func(r Result) float64 { return r.Active.CPU })
		out.standby = of(func(r Result) float64 { return r.Standby.CPU })
		out.activeThrottle = of(func(r Result) float64 { return r.Active.Throttled })
		out.standbyThrottle = of(func(r Result) float64 { return r.Standby.Throttled })
		out.client = of(func(r Result) float64 { return r.Client })
		out.web = of(func(r Result) float64 { return r.Web })
		out.idle = of(func(r Result) float64 { return r.IdleShare })
		for _, r := range results {
			if r.System == system {
				out.failed += r.Failed
			}
		}
		rows = append(rows, out)
	}
	return rows
}

// Table shows the results.
func (r *Report) Table() figures.Table {
	t := figures.Table{
		Header: []string{
			"each haproxy may use", "system", "requests/s, median", "max", "against local", "failed",
			"haproxy CPU, active", "standby", "throttled, active", "standby", "client CPU", "web CPU", "machine idle",
		},
		Names: 2,
	}
	all := rows(r.Results)
	percent := func(s figures.Stats) string { return fmt.Sprintf("%.0f %%", 100*s.Median) }
	for _, row := range all {
		against := ""
		for _, other := range all {
			if other.system == local {
				against = fmt.Sprintf("%.2f x", row.rate.Median/other.rate.Median)
			}
		}
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%.0f %% of a core", 100*r.Quota), row.system, fmt.Sprintf("%.0f", row.rate.Median), fmt.Sprintf("%.0f", row.rate.Max), against, fmt.Sprint(row.failed),
			percent(row.active), percent(row.standby), percent(row.activeThrottle), percent(row.standbyThrottle),
			percent(row.client), percent(row.web), percent(row.idle),
		})
	}
	return t
}

// WriteText writes the table for a terminal.
func (r *Report) WriteText(w io.Writer) error { return r.Table().WriteText(w) }

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "share", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Two haproxies at work\n\n")
	fmt.Fprintf(&b, "Each haproxy may use %.0f %% of a processor (a control group's CPU quota), so that the haproxies are what "+
		"limits the rate: %d clients ask for a small page as quickly as they are answered, and open a new connection "+
		"after %d requests. *Shared* spreads flows over both haproxies, *local* keeps them on the active host, as "+
		"keepalived does. CPU is in shares of one core; throttled is the share of the quota's periods in which all of it "+
		"was used; the last column is what was left of the machine. Medians of %d rounds of %.0f s, the systems "+
		"in turn in one run.\n\n", 100*r.Quota, parallel, renew, r.Rounds, r.WindowS)
	if err := r.Table().WriteMarkdown(&b); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
