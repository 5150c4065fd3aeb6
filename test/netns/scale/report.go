// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hafast/test/netns/figures"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Rounds  int             `json:"rounds"`
	Machine figures.Machine `json:"machine"`
	// Promotions are all rounds, Costs one of each system and plan.
	Promotions []Promotion `json:"promotions"`
	Costs      []Cost      `json:"costs"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

// phaseNames are the reported steps that the table has columns for.
func phaseNames() []string { return []string{"address", "announce", "total"} }

// promotionRow sums up the rounds of one number of VIPs and system.
type promotionRow struct {
	vips       int
	system     string
	rounds     int
	incomplete int
	// first and all are in milliseconds, phases in microseconds by name.
	first, all figures.Stats
	phases     map[string]figures.Stats
}

// promotionRows groups the promotions by number of VIPs, and by system in the
// order in which they appear.
func promotionRows(promotions []Promotion) []promotionRow {
	type group struct {
		vips   int
		system string
	}
	var order []group
	members := make(map[group][]Promotion)
	for _, p := range promotions {
		g := group{p.VIPs, p.System}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], p)
	}
	slices.SortStableFunc(order, func(a, b group) int { return cmp.Compare(a.vips, b.vips) })
	var rows []promotionRow
	for _, g := range order {
		rows = append(rows, newPromotionRow(members[g]))
	}
	return rows
}

// newPromotionRow sums up promotions of one kind, of which there is at least one.
func newPromotionRow(promotions []Promotion) promotionRow {
	row := promotionRow{
		vips: promotions[0].VIPs, system: promotions[0].System,
		rounds: len(promotions), phases: make(map[string]figures.Stats),
	}
	var first, all []float64
	phases := make(map[string][]float64)
	for _, p := range promotions {
		if !p.Complete {
			row.incomplete++
			continue
		}
		first, all = append(first, p.FirstMS), append(all, p.AllMS)
		for name, us := range p.PhasesUS {
			phases[name] = append(phases[name], us)
		}
	}
	row.first, row.all = figures.Summarise(first), figures.Summarise(all)
	for name, sample := range phases {
		row.phases[name] = figures.Summarise(sample)
	}
	return row
}

// PromotionTable shows the promotions.
func (r *Report) PromotionTable() figures.Table {
	t := figures.Table{
		Header: []string{"VIPs", "system", "first VIP, median", "max", "all VIPs, median", "max"},
		Names:  2,
	}
	for _, name := range phaseNames() {
		t.Header = append(t.Header, "reported "+name)
	}
	for _, row := range promotionRows(r.Promotions) {
		cells := []string{fmt.Sprint(row.vips), row.system}
		if row.incomplete < row.rounds {
			cells = append(cells, formatMS(row.first.Median), formatMS(row.first.Max), formatMS(row.all.Median), formatMS(row.all.Max))
		} else {
			cells = append(cells, "", "", "", "")
		}
		if row.incomplete > 0 {
			cells[len(cells)-1] = fmt.Sprintf("%d of %d incomplete", row.incomplete, row.rounds)
		}
		for _, name := range phaseNames() {
			text := ""
			if stats, ok := row.phases[name]; ok {
				text = formatMS(stats.Median / 1000)
			}
			cells = append(cells, text)
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// CostTable shows the costs, a row for each host.
func (r *Report) CostTable() figures.Table {
	t := figures.Table{
		Header: []string{
			"instances", "system", "host", "CPU", "scripts' CPU", "RSS", "PSS",
			"transitions", "changes on the wire", "longest gap",
		},
		Names: 3,
	}
	costs := slices.Clone(r.Costs)
	slices.SortStableFunc(costs, func(a, b Cost) int { return cmp.Compare(a.Instances, b.Instances) })
	for _, c := range costs {
		for i, h := range c.Hosts {
			cells := []string{
				c.what(), c.System, h.Role,
				fmt.Sprintf("%.2f %%", h.CPU), fmt.Sprintf("%.2f %%", h.ScriptsCPU),
				fmt.Sprintf("%.1f MiB", h.RSSMiB), fmt.Sprintf("%.1f MiB", h.PSSMiB),
				fmt.Sprint(h.Transitions), "", "",
			}
			if i == 0 {
				cells[8], cells[9] = fmt.Sprint(c.Changes), fmt.Sprintf("%.0f ms", c.LongestGapMS)
			}
			t.Rows = append(t.Rows, cells)
		}
	}
	return t
}

// what names the plan.
func (c Cost) what() string {
	return fmt.Sprintf("%d, adverts every %s", c.Instances, time.Duration(c.IntervalMS*float64(time.Millisecond)))
}

// formatMS writes milliseconds with three digits or so.
func formatMS(ms float64) string {
	switch {
	case max(ms, -ms) < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case max(ms, -ms) < 100:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

// WriteText writes both tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	if len(r.Promotions) > 0 {
		fmt.Fprintln(w, "From the new Active's first advert to its announcements:")
		if err := r.PromotionTable().WriteText(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.Costs) == 0 {
		return nil
	}
	fmt.Fprintln(w, "The cost of a pair that nothing happens to:")
	return r.CostTable().WriteText(w)
}

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "scale", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Scale\n\n")
	fmt.Fprintf(&b, "The Active of one instance, adverts every %s, falls silent; a packet socket on "+
		"another host sees the new Active's first advert and its gratuitous ARPs. The times run from that advert "+
		"to the announcement of the first VIP, and until every VIP has been announced once. On the right, the "+
		"medians of what the daemon itself reports in `events`. %d rounds, the systems in turn in one run.\n\n",
		promotionInterval, r.Rounds)
	if err := r.PromotionTable().WriteMarkdown(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\nThe cost of a pair that nothing happens to, over %s: CPU time as a share of one core, of the "+
		"daemon's processes and of the check scripts they start (times in /proc come in steps of 10 ms); memory "+
		"summed over the daemon's processes, where RSS counts shared pages in each of them and PSS shares them out. "+
		"Transitions are the daemon's own count; changes on the wire are adverts that came from another host "+
		"than those before them; the gap is the longest between two adverts of one instance.\n\n", r.window())
	if err := r.CostTable().WriteMarkdown(&b); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}

// window says how long costs were measured.
func (r *Report) window() string {
	var texts []string
	for _, c := range r.Costs {
		if text := fmt.Sprintf("%.0f s", c.WindowS); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, " or ")
}
