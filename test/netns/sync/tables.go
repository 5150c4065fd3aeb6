// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"hafast/test/netns/figures"
)

func (r *Report) rateTable() figures.Table {
	t := figures.Table{
		Header: []string{
			"system", "connections/s", "CPU each, sender", "receiver", "machine", "idle, Active", "Backup", "bytes each, sent", "returned", "failed",
		},
		Names: 1,
	}
	all := figures.Groups(r.Rates, func(r Rate) string { return r.System })
	rate := func(r Rate) float64 { return r.PerSecond }
	machine := func(r Rate) float64 { return r.Cost.MachineUS }
	for _, g := range all {
		beyond := ""
		for _, other := range all {
			if other.Key == without(g.Key) {
				beyond = fmt.Sprintf("%+.0f us", g.Stats(machine).Median-other.Stats(machine).Median)
			}
		}
		us := func(figure func(Rate) float64) string { return fmt.Sprintf("%.1f us", g.Stats(figure).Median) }
		percent := func(figure func(Rate) float64) string { return fmt.Sprintf("%.1f %%", 100*g.Stats(figure).Median) }
		// What idle hosts say to each other may be more than what is said in a window.
		count := func(figure func(Rate) float64) string { return fmt.Sprintf("%.0f", max(0, g.Stats(figure).Median)) }
		t.Rows = append(t.Rows, []string{
			g.Key, count(rate),
			us(func(r Rate) float64 { return r.Cost.SenderUS }), us(func(r Rate) float64 { return r.Cost.ReceiverUS }), beyond,
			percent(func(r Rate) float64 { return r.Cost.IdleActive }), percent(func(r Rate) float64 { return r.Cost.IdleBackup }),
			count(func(r Rate) float64 { return r.Cost.SentBytes }), count(func(r Rate) float64 { return r.Cost.ReturnedBytes }),
			fmt.Sprint(g.Sum(func(r Rate) uint64 { return r.Failed + r.Cost.Failed })),
		})
	}
	return t
}

func (r *Report) turnsTable() figures.Table {
	t := figures.Table{Header: []string{"system", "rate, of that of", "median", "quartiles", "turns"}, Names: 1}
	for _, g := range figures.Groups(r.Turns, func(t Turns) string { return t.System }) {
		var shares []float64
		for _, round := range g.Results {
			shares = append(shares, round.Shares()...)
		}
		slices.Sort(shares)
		percent := func(p float64) string { return fmt.Sprintf("%.0f %%", 100*figures.Percentile(shares, p)) }
		t.Rows = append(t.Rows, []string{
			g.Key, g.Results[0].Without, percent(0.5), percent(0.25) + ", " + percent(0.75), fmt.Sprint(len(shares)),
		})
	}
	return t
}

func (r *Report) lagTable() figures.Table {
	type key struct {
		load   int
		system string
	}
	t := figures.Table{
		Header: []string{"new connections/s", "system", "p50", "p99", "max", "looked every", "connections", "never known"},
		Names:  2,
	}
	all := figures.Groups(r.Lags, func(l Lag) key { return key{l.Load, l.System} })
	slices.SortStableFunc(all, func(a, b figures.Group[key, Lag]) int { return cmp.Compare(a.Key.load, b.Key.load) })
	for _, g := range all {
		var sample []float64
		for _, l := range g.Results {
			sample = append(sample, l.MS...)
		}
		slices.Sort(sample)
		p50, p99, most := figures.Lags(sample)
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(g.Key.load), g.Key.system, p50, p99, most,
			figures.LagMS(g.Stats(func(l Lag) float64 { return l.LookMS }).Median), fmt.Sprint(len(sample)),
			fmt.Sprint(g.Sum(func(l Lag) uint64 { return uint64(l.Missing) })),
		})
	}
	return t
}

func (r *Report) resyncTable() figures.Table {
	type key struct {
		entries int
		system  string
	}
	t := figures.Table{
		Header: []string{"table", "system", "ready", "never known", "memory, Active", "Backup", "alive", "silent", "longest"},
		Names:  2,
	}
	all := figures.Groups(r.Resyncs, func(r Resync) key { return key{r.Entries, r.System} })
	slices.SortStableFunc(all, func(a, b figures.Group[key, Resync]) int { return cmp.Compare(a.Key.entries, b.Key.entries) })
	for _, g := range all {
		median := func(figure func(Resync) float64) float64 { return g.Stats(figure).Median }
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(g.Key.entries), g.Key.system, fmt.Sprintf("%.2f s", median(func(r Resync) float64 { return r.ReadyS })),
			fmt.Sprintf("%.0f", median(func(r Resync) float64 { return float64(r.Missing) })),
			fmt.Sprintf("%.0f MiB", median(func(r Resync) float64 { return r.ActiveMiB })),
			fmt.Sprintf("%.0f MiB", median(func(r Resync) float64 { return r.BackupMiB })),
			fmt.Sprintf("%.0f / %d", g.Stats(func(r Resync) float64 { return float64(r.Takeover.Alive) }).Min, heldByTable),
			silenceMS(median(func(r Resync) float64 { return r.Takeover.silence() })),
			silenceMS(median(func(r Resync) float64 { return r.Takeover.LongestMS })),
		})
	}
	return t
}

func (r *Report) movesTable() figures.Table {
	type key struct{ plan, system string }
	t := figures.Table{
		Header: []string{
			"change", "system", "changes", "alive, median", "least", "silent, median", "most", "longest", "new ones failed",
		},
		Names: 2,
	}
	all := figures.Groups(r.Moves, func(m Moves) key { return key{m.Plan.String(), m.System} })
	var plans []string
	for _, g := range all {
		plans = append(plans, g.Key.plan)
	}
	slices.SortStableFunc(all, func(a, b figures.Group[key, Moves]) int {
		return cmp.Compare(slices.Index(plans, a.Key.plan), slices.Index(plans, b.Key.plan))
	})
	for _, g := range all {
		changes := figures.Group[key, Move]{Key: g.Key}
		for _, m := range g.Results {
			changes.Results = append(changes.Results, m.Moves...)
		}
		alive := changes.Stats(func(m Move) float64 { return float64(m.Alive) })
		silent := changes.Stats(Move.silence)
		t.Rows = append(t.Rows, []string{
			g.Key.plan, g.Key.system, fmt.Sprint(len(changes.Results)),
			fmt.Sprintf("%.0f / %d", alive.Median, g.Results[0].Held), fmt.Sprintf("%.0f", alive.Min),
			silenceMS(silent.Median), silenceMS(silent.Max),
			silenceMS(changes.Stats(func(m Move) float64 { return m.LongestMS }).Max),
			fmt.Sprintf("%d of %d", g.Sum(func(m Moves) uint64 { return m.LoadFailed }), g.Sum(func(m Moves) uint64 { return m.LoadOK + m.LoadFailed })),
		})
	}
	return t
}

// silence is how long nothing went through: for ever, if no quick connection lives to tell.
func (m Move) silence() float64 {
	if m.QuickAlive == 0 {
		return math.Inf(1)
	}
	return m.QuickMS
}

// silenceMS shows a silence.
func silenceMS(ms float64) string {
	if math.IsInf(ms, 1) || math.IsNaN(ms) || ms == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// lagText sums up a sorted sample in milliseconds.
func lagText(sorted []float64) string {
	if len(sorted) == 0 {
		return "none is known"
	}
	p50, p99, most := figures.Lags(sorted)
	return fmt.Sprintf("p50 %s, p99 %s, max %s", p50, p99, most)
}
