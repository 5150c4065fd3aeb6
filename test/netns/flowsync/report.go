// SPDX-License-Identifier: Apache-2.0

package flowsync

import (
	"bytes"
	"cmp"
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
	Rate    int             `json:"rate"`
	WindowS float64         `json:"window_s"`
	Machine figures.Machine `json:"machine"`
	Loads   []Load          `json:"loads"`
	Resyncs []Resync        `json:"resyncs"`
	// Errors are the cases that could not be measured.
	Errors []string `json:"errors,omitempty"`
}

func (r *Report) parts() []figures.Part {
	return []figures.Part{
		{Title: "New flows", Text: fmt.Sprintf("The generator begins %d flows a second. *Sender* and *receiver* are the daemons' processor time on the "+
			"Active host and on the other, beyond what they use without flows, which is in shares of a core under *idle*. Bytes "+
			"are those on the link, Ethernet's headers included. *Unprotected* is what `hafast status` says right after the last "+
			"flow, and how long that lasts; *missing* are flows that the other host does not have then. Memory is the daemons' "+
			"resident one, without the tables. Medians of %d rounds of %.0f s.", r.Rate, r.Rounds, r.WindowS), Table: r.loadTable()},
		{Title: "Lag of flows", Text: fmt.Sprintf("*Seen* is the time from a flow's first frame until the flow is in the other host's table, looked up "+
			"every %.1f ms; *own* is what `hafast status` says: until the other host has acknowledged it. All rounds "+
			"together; of the own figures the worst.", lookEvery.Seconds()*1000), Table: r.lagTable()},
		{Title: "Coming back with nothing", Text: "A host has so many flows. The daemon of the other one is killed and all that it has in the kernel is " +
			"removed; then it is started again. *In sync* is when it says so, *told* the part of that in which it is told, and *covered* " +
			"when the first one says that nothing is unprotected. CPU is for each flow; the receiver's has its start in it. " +
			"Medians of all rounds.", Table: r.resyncTable()},
	}
}

func (r *Report) loadTable() figures.Table {
	t := figures.Table{Header: []string{
		"flows", "per second", "CPU each, sender", "receiver", "idle, Active", "Backup", "bytes each, sent", "returned",
		"unprotected", "for", "missing", "of", "memory, Active", "Backup",
	}, Names: 1}
	for _, g := range figures.Groups(r.Loads, func(l Load) string { return l.Proto }) {
		show := func(format string, figure func(Load) float64) string {
			return fmt.Sprintf(format, g.Stats(figure).Median)
		}
		t.Rows = append(t.Rows, []string{
			g.Key,
			show("%.0f", func(l Load) float64 { return l.PerSecond }),
			show("%.2f us", func(l Load) float64 { return l.SenderUS }),
			show("%.2f us", func(l Load) float64 { return l.ReceiverUS }),
			show("%.1f %%", func(l Load) float64 { return 100 * l.IdleActive }),
			show("%.1f %%", func(l Load) float64 { return 100 * l.IdleBackup }),
			show("%.1f", func(l Load) float64 { return l.SentBytes }),
			show("%.1f", func(l Load) float64 { return l.ReturnedBytes }),
			show("%.0f", func(l Load) float64 { return float64(l.Unprotected) }),
			show("%.0f ms", func(l Load) float64 { return l.SettledMS }),
			show("%.0f", func(l Load) float64 { return float64(l.Missing) }),
			show("%.0f", func(l Load) float64 { return float64(l.Flows) }),
			show("%.0f MiB", func(l Load) float64 { return l.ActiveMiB }),
			show("%.0f MiB", func(l Load) float64 { return l.BackupMiB }),
		})
	}
	return t
}

func (r *Report) lagTable() figures.Table {
	t := figures.Table{Header: []string{"flows", "other flows/s", "seen, p50", "p99", "max", "own, p50", "p99", "max", "looked for", "never seen"}, Names: 1}
	for _, g := range figures.Groups(r.Loads, func(l Load) string { return l.Proto }) {
		t.Rows = append(t.Rows, lagRow(g.Key, 0, g.Results, func(l Load) Lag { return l.Idle }),
			lagRow(g.Key, r.Rate, g.Results, func(l Load) Lag { return l.Loaded }))
	}
	return t
}

// lagRow sums up the lag of all rounds.
func lagRow(proto string, rate int, loads []Load, of func(Load) Lag) []string {
	var all []float64
	var own50, own99, ownMost float64
	missing := 0
	for _, l := range loads {
		lag := of(l)
		all = append(all, lag.MS...)
		missing += lag.Missing
		if own := lag.Own; own != nil {
			own50, own99, ownMost = max(own50, own.P50MS), max(own99, own.P99MS), max(ownMost, own.MaxMS)
		}
	}
	slices.Sort(all)
	p50, p99, most := figures.Lags(all)
	return []string{
		proto, fmt.Sprint(rate), p50, p99, most,
		figures.LagMS(own50), figures.LagMS(own99), figures.LagMS(ownMost), fmt.Sprint(len(all) + missing), fmt.Sprint(missing),
	}
}

func (r *Report) resyncTable() figures.Table {
	t := figures.Table{Header: []string{
		"flows", "in sync", "told", "covered", "missing then", "unprotected then", "CPU each, sender", "receiver", "bytes each",
		"memory, Active", "Backup",
	}}
	all := figures.Groups(r.Resyncs, func(r Resync) int { return r.Wanted })
	slices.SortFunc(all, func(a, b figures.Group[int, Resync]) int { return cmp.Compare(a.Key, b.Key) })
	for _, g := range all {
		show := func(format string, figure func(Resync) float64) string {
			return fmt.Sprintf(format, g.Stats(figure).Median)
		}
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(g.Key),
			show("%.2f s", func(r Resync) float64 { return r.ReadyS }),
			show("%.2f s", func(r Resync) float64 { return r.ToldS }),
			show("%.2f s", func(r Resync) float64 { return r.CoveredS }),
			show("%.0f", func(r Resync) float64 { return float64(r.Missing) }),
			show("%.0f", func(r Resync) float64 { return float64(r.Unprotected) }),
			show("%.2f us", func(r Resync) float64 { return r.SenderUS }),
			show("%.2f us", func(r Resync) float64 { return r.ReceiverUS }),
			show("%.1f", func(r Resync) float64 { return r.SentBytes }),
			show("%.0f MiB", func(r Resync) float64 { return r.ActiveMiB }),
			show("%.0f MiB", func(r Resync) float64 { return r.BackupMiB }),
		})
	}
	return t
}

// WriteText writes the tables for a terminal.
func (r *Report) WriteText(w io.Writer) error { return figures.WriteParts(w, r.parts()) }

// WriteDocs replaces the report's section in the Markdown file at path.
func (r *Report) WriteDocs(path string) error {
	section, err := r.section()
	if err != nil {
		return err
	}
	return figures.WriteSection(path, "flowsync", section)
}

func (r *Report) section() (string, error) {
	var b bytes.Buffer
	b.WriteString("## Sync of the XDP program's flows\n\n" +
		"Two hosts with haproxy share their flows, and each tells the other of those that it stores. Flows are begun by raw frames " +
		"from the client host, each from another address and port: UDP by a datagram, TCP by an ACK that the program knows nothing of.\n")
	if err := figures.WriteMarkdownParts(&b, r.parts()); err != nil {
		return "", err
	}
	b.WriteString(figures.Origin(r.Date, r.Machine, r.Command))
	return b.String(), nil
}
