// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"hafast/test/netns/figures"
	"hafast/test/netns/path/load"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Rounds  int             `json:"rounds"`
	WindowS float64         `json:"window_s"`
	Machine figures.Machine `json:"machine"`
	Results []Result        `json:"results"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

// row sums up the rounds of one load over one way.
type row struct {
	load      load.Kind
	way       string
	rate, cpu figures.Stats
	lost      figures.Stats
	failed    uint64
}

// rows groups the results by load in the order in which they appear, and by way in
// the order of Ways.
func rows(results []Result) []row {
	var kinds []load.Kind
	for _, r := range results {
		if !slices.Contains(kinds, r.Load) {
			kinds = append(kinds, r.Load)
		}
	}
	var rows []row
	for _, kind := range kinds {
		for _, way := range WayNames() {
			var rate, cpu, lost []float64
			r := row{load: kind, way: way}
			for _, result := range results {
				if result.Load != kind || result.Way != way {
					continue
				}
				rate = append(rate, result.Rate)
				cpu = append(cpu, result.CPUus)
				lost = append(lost, result.LostShare)
				r.failed += result.Failed
			}
			if len(rate) == 0 {
				continue
			}
			r.rate, r.cpu, r.lost = figures.Summarise(rate), figures.Summarise(cpu), figures.Summarise(lost)
			rows = append(rows, r)
		}
	}
	return rows
}

// Table shows the results, a group for each load.
func (r *Report) Table() figures.Table {
	t := figures.Table{
		Header: []string{"load", "way", "per second, median", "max", "CPU each, median", "beyond direct", "lost", "failed"},
		Names:  2,
	}
	all := rows(r.Results)
	for _, row := range all {
		beyond := ""
		for _, floor := range all {
			if floor.load == row.load && floor.way == direct && row.way != direct {
				beyond = fmt.Sprintf("%+.2f us", row.cpu.Median-floor.cpu.Median)
			}
		}
		t.Rows = append(t.Rows, []string{
			string(row.load), row.way,
			fmt.Sprintf("%.0f", row.rate.Median), fmt.Sprintf("%.0f", row.rate.Max),
			fmt.Sprintf("%.2f us", row.cpu.Median), beyond,
			fmt.Sprintf("%.1f %%", 100*row.lost.Median), fmt.Sprint(row.failed),
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
	return figures.WriteSection(path, "path", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## The way to a peer\n\n")
	fmt.Fprintf(&b, "Every flow arrives at one host, which has the VIP, and is served by the other. *hafast* sends "+
		"packets on by XDP, and the other host answers the client directly. *nft dnat* is the kernel's connection tracking "+
		"with masquerading: answers come back through the first host. *nft fwd* is netfilter's stateless direct return, "+
		"which knows neither flows nor health. For comparison, *direct* asks the serving host without the detour, and "+
		"*keepalived* serves on the host that has the VIP.\n\n")
	fmt.Fprintf(&b, "UDP packets are the smallest there are, from one thread and %d flows, and counted where they "+
		"arrive; paced, they come at %d a second, which loses none. Requests are for a small page, by 32 clients at a "+
		"time. CPU is the busy time of the whole machine for each packet that arrived or page that was got: client, switch, "+
		"haproxy and web server are in it, and on veth no account tells them apart; \"beyond direct\" is what the detour adds. "+
		"With HTTP the machine's processors are the limit for every way, so the cost says more than the rate. %d rounds of "+
		"%.0f s, the ways in turn in one run.\n\n", flows, pace, r.Rounds, r.WindowS)
	if err := r.Table().WriteMarkdown(&b); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
