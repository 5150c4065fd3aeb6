// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"hafast/pkg/loader"
	"hafast/test/netns/figures"
)

// Report is a whole measurement, as it is kept in JSON.
type Report struct {
	Date    time.Time       `json:"date"`
	Command string          `json:"command"`
	Options Options         `json:"options"`
	Machine figures.Machine `json:"machine"`
	Costs   []Cost          `json:"costs"`
	Crowded []Cost          `json:"crowded"`
	Floods  []Flood         `json:"floods"`
	Memory  []Memory        `json:"memory"`
}

// Measure does all of it. It needs root, and some 700 MB of memory for Many 1 M.
func Measure(ctx context.Context, o Options, r *Report) (err error) {
	r.Options = o
	err = inHarness(loader.DefaultFlows, func(h *harness) error {
		if r.Costs, err = h.measure(ctx, o, o.usual()); err != nil {
			return err
		}
		r.Crowded, err = h.measureCrowd(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	// A table that is filled to the brim evicts while it is being filled.
	err = inHarness(max(o.Many+o.Many/20, loader.MinFlows), func(h *harness) error {
		costs, err := h.measure(ctx, o, o.large())
		r.Costs = append(r.Costs, costs...)
		return err
	})
	if err != nil {
		return err
	}
	if r.Floods, err = floods(ctx, max(o.Many/4, loader.MinFlows), o.Many); err != nil {
		return err
	}
	for _, flows := range []int{loader.DefaultFlows, max(o.Many, loader.MinFlows)} {
		m, err := memoryOf(flows)
		if err != nil {
			return err
		}
		r.Memory = append(r.Memory, m)
	}
	return nil
}

// inHarness runs a function in a harness with room for so many flows.
func inHarness(flows int, f func(*harness) error) error {
	h, err := newHarness(flows)
	if err != nil {
		return err
	}
	return errors.Join(f(h), h.Close())
}

// above sums up what a program took more than nothing in the same rounds. The minimum is
// the least of one less the least of the other.
func above(runs, nothing Runs) figures.Stats {
	var more []float64
	for i := range min(len(runs), len(nothing)) {
		more = append(more, runs[i]-nothing[i])
	}
	s := figures.Summarise(more)
	s.Min = max(0, figures.Summarise(runs).Min-figures.Summarise(nothing).Min)
	return s
}

// cell is a median, and the minimum in brackets.
func cell(s figures.Stats) string { return fmt.Sprintf("%.0f (%.0f)", s.Median, s.Min) }

// katran is what katran's program took in settings, by kind, in the same way on a machine
// like this one. It does more for a packet: it also puts it into another.
func katran() map[string][]string {
	return map[string][]string{
		"not for a VIP":         {"75"},
		"known flow, to a peer": {"173", "466"},
		"new SYN, to a peer":    {"1076-1231"},
	}
}

// table has a row for each case and its floor, and a column for each setting.
func table(costs []Cost, beside map[string][]string) figures.Table {
	var names, kinds, families []string
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, c := range costs {
		add(&names, c.Setting)
		add(&kinds, c.Kind)
		add(&families, c.Family)
	}
	t := figures.Table{Header: append([]string{"packet", "program"}, names...), Names: 2}
	for _, kind := range kinds {
		for _, family := range families {
			hafast, floor := []string{kind, "hafast, " + family}, []string{kind, "look-ups alone, " + family}
			for _, setting := range names {
				i := slices.IndexFunc(costs, func(c Cost) bool {
					return c.Kind == kind && c.Family == family && c.Setting == setting
				})
				if i < 0 {
					hafast, floor = append(hafast, ""), append(floor, "")
					continue
				}
				hafast = append(hafast, cell(above(costs[i].Hafast, costs[i].Nothing)))
				floor = append(floor, cell(above(costs[i].Floor, costs[i].Nothing)))
			}
			t.Rows = append(t.Rows, hafast, floor)
		}
		if other := beside[kind]; other != nil {
			row := append([]string{kind, "katran, IPv4"}, other...)
			t.Rows = append(t.Rows, append(row, make([]string, len(t.Header)-len(row))...))
		}
	}
	return t
}

// Table is the costs in the world of a pair and another.
func (r *Report) Table() figures.Table { return table(r.Costs, katran()) }

// CrowdedTable is the costs with many services and targets.
func (r *Report) CrowdedTable() figures.Table { return table(r.Crowded, nil) }

// FloodTable is what floods leave of flows.
func (r *Report) FloodTable() figures.Table {
	t := figures.Table{
		Header: []string{"flood", "family", "table for", "silent flows before", "after", "busy flows before", "after", "ns per packet"}, Names: 2,
	}
	for _, f := range r.Floods {
		name := fmt.Sprintf("%s %ss", count(f.Packets), f.Segment)
		if f.Unread {
			name += ", events unread"
		}
		t.Rows = append(t.Rows, []string{
			name, f.Family, fmt.Sprint(f.Capacity), fmt.Sprint(f.Silent), fmt.Sprint(f.SilentKept),
			fmt.Sprint(f.Busy), fmt.Sprint(f.BusyKept), fmt.Sprintf("%.0f", f.EachNs),
		})
	}
	return t
}

// MemoryTable is what the maps take.
func (r *Report) MemoryTable() figures.Table {
	t := figures.Table{Header: []string{"TCP flows of each family", "tcp4", "tcp6", "udp4", "udp6", "all else", "total"}, Names: 1}
	mb := func(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
	for _, m := range r.Memory {
		row := []string{fmt.Sprint(m.Flows)}
		for _, name := range t.Header[1:5] {
			row = append(row, mb(m.Tables[name]))
		}
		t.Rows = append(t.Rows, append(row, mb(m.Others), mb(m.total())))
	}
	return t
}

// WriteText writes all tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	for _, t := range []figures.Table{r.Table(), r.CrowdedTable(), r.FloodTable(), r.MemoryTable()} {
		if err := t.WriteText(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "xdp", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	o := r.Options
	fmt.Fprintf(&b, "## The XDP program\n\n"+
		"Nanoseconds per packet, medians and in brackets minima of %d runs of %s packets, by test-run (`BPF_PROG_TEST_RUN`) in steady "+
		"state, on one processor and without a driver. What measuring costs is subtracted: each round also runs a program that does "+
		"nothing to the same packets. *Look-ups alone* is a program that does only what the case cannot do without, on the same maps. "+
		"The columns say what is in the flow table, of the default size or for as many as are in it, and whose packets come; a second chance that is stored is of a new flow each "+
		"time, which pushes an old one out of a full table, and the daemon is told. Differences below 10 %% mean nothing here.\n\n", o.Rounds, count(o.Packets))
	if err := r.Table().WriteMarkdown(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\nkatran's figures are its program's over its own empty baseline, by the same method on a machine of the same kind, "+
		"but not in this run. It parses and stores the same facts, and it also encapsulates, keeps statistics for each packet and a "+
		"state for every SYN.\n\nWith %d services more in each family and %d targets:\n\n", crowdServices, loader.MaxTargets)
	if err := r.CrowdedTable().WriteMarkdown(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\nWhat a flood from ever new addresses and ports leaves of flows that are in the table: SYNs are not stored, ACKs are. "+
		"A busy flow has a packet for every %s of the flood. Flows that are pushed out are found again by second chance. What is stored is also "+
		"put into a ring, for the daemon to tell the peers: where nobody reads it, nearly all of a flood finds it full. The time includes "+
		"what measuring costs.\n\n", count(floodEvery))
	if err := r.FloodTable().WriteMarkdown(&b); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\nMemory that the kernel holds for the maps, all of it from the start:\n\n")
	if err := r.MemoryTable().WriteMarkdown(&b); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
