package replication

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"hafast/test/netns/figures"
)

// group is the results that belong in one row.
type group[K comparable, R any] struct {
	key     K
	results []R
}

// groups sorts results by key, in the order in which keys appear.
func groups[K comparable, R any](results []R, key func(R) K) []group[K, R] {
	var all []group[K, R]
	for _, r := range results {
		k := key(r)
		at := slices.IndexFunc(all, func(g group[K, R]) bool { return g.key == k })
		if at < 0 {
			at = len(all)
			all = append(all, group[K, R]{key: k})
		}
		all[at].results = append(all[at].results, r)
	}
	return all
}

// stats sums up one figure of the results.
func (g group[K, R]) stats(figure func(R) float64) figures.Stats {
	sample := make([]float64, len(g.results))
	for i, r := range g.results {
		sample[i] = figure(r)
	}
	return figures.Summarise(sample)
}

// sum adds up a count of the results.
func (g group[K, R]) sum(count func(R) uint64) (sum uint64) {
	for _, r := range g.results {
		sum += count(r)
	}
	return sum
}

func (r *Report) rateTable() figures.Table {
	t := figures.Table{
		Header: []string{
			"system", "connections/s", "of without", "CPU each, sender", "receiver", "machine", "idle, Active", "Backup", "bytes each, sent", "returned", "failed",
		},
		Names: 1,
	}
	all := groups(r.Rates, func(r Rate) string { return r.System })
	rate := func(r Rate) float64 { return r.PerSecond }
	machine := func(r Rate) float64 { return r.Cost.MachineUS }
	for _, g := range all {
		share, beyond := "", ""
		for _, other := range all {
			if other.key == without(g.key) {
				share = fmt.Sprintf("%.0f %%", 100*g.stats(rate).Median/other.stats(rate).Median)
				beyond = fmt.Sprintf("%+.0f us", g.stats(machine).Median-other.stats(machine).Median)
			}
		}
		us := func(figure func(Rate) float64) string { return fmt.Sprintf("%.1f us", g.stats(figure).Median) }
		percent := func(figure func(Rate) float64) string { return fmt.Sprintf("%.1f %%", 100*g.stats(figure).Median) }
		// What idle hosts say to each other may be more than what is said in a window.
		count := func(figure func(Rate) float64) string { return fmt.Sprintf("%.0f", max(0, g.stats(figure).Median)) }
		t.Rows = append(t.Rows, []string{
			g.key, count(rate), share,
			us(func(r Rate) float64 { return r.Cost.SenderUS }), us(func(r Rate) float64 { return r.Cost.ReceiverUS }), beyond,
			percent(func(r Rate) float64 { return r.Cost.IdleActive }), percent(func(r Rate) float64 { return r.Cost.IdleBackup }),
			count(func(r Rate) float64 { return r.Cost.SentBytes }), count(func(r Rate) float64 { return r.Cost.ReturnedBytes }),
			fmt.Sprint(g.sum(func(r Rate) uint64 { return r.Failed + r.Cost.Failed })),
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
	all := groups(r.Lags, func(l Lag) key { return key{l.Load, l.System} })
	slices.SortStableFunc(all, func(a, b group[key, Lag]) int { return cmp.Compare(a.key.load, b.key.load) })
	for _, g := range all {
		var sample []float64
		for _, l := range g.results {
			sample = append(sample, l.MS...)
		}
		slices.Sort(sample)
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(g.key.load), g.key.system, lagMS(percentile(sample, 0.5)), lagMS(percentile(sample, 0.99)), lagMS(percentile(sample, 1)),
			lagMS(g.stats(func(l Lag) float64 { return l.LookMS }).Median), fmt.Sprint(len(sample)),
			fmt.Sprint(g.sum(func(l Lag) uint64 { return uint64(l.Missing) })),
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
	all := groups(r.Resyncs, func(r Resync) key { return key{r.Entries, r.System} })
	slices.SortStableFunc(all, func(a, b group[key, Resync]) int { return cmp.Compare(a.key.entries, b.key.entries) })
	for _, g := range all {
		median := func(figure func(Resync) float64) float64 { return g.stats(figure).Median }
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(g.key.entries), g.key.system, fmt.Sprintf("%.2f s", median(func(r Resync) float64 { return r.ReadyS })),
			fmt.Sprintf("%.0f", median(func(r Resync) float64 { return float64(r.Missing) })),
			fmt.Sprintf("%.0f MiB", median(func(r Resync) float64 { return r.ActiveMiB })),
			fmt.Sprintf("%.0f MiB", median(func(r Resync) float64 { return r.BackupMiB })),
			fmt.Sprintf("%.0f / %d", g.stats(func(r Resync) float64 { return float64(r.Takeover.Alive) }).Min, heldByTable),
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
	all := groups(r.Moves, func(m Moves) key { return key{m.Plan.String(), m.System} })
	var plans []string
	for _, g := range all {
		plans = append(plans, g.key.plan)
	}
	slices.SortStableFunc(all, func(a, b group[key, Moves]) int {
		return cmp.Compare(slices.Index(plans, a.key.plan), slices.Index(plans, b.key.plan))
	})
	for _, g := range all {
		changes := group[key, Move]{key: g.key}
		for _, m := range g.results {
			changes.results = append(changes.results, m.Moves...)
		}
		alive := changes.stats(func(m Move) float64 { return float64(m.Alive) })
		silent := changes.stats(Move.silence)
		t.Rows = append(t.Rows, []string{
			g.key.plan, g.key.system, fmt.Sprint(len(changes.results)),
			fmt.Sprintf("%.0f / %d", alive.Median, g.results[0].Held), fmt.Sprintf("%.0f", alive.Min),
			silenceMS(silent.Median), silenceMS(silent.Max),
			silenceMS(changes.stats(func(m Move) float64 { return m.LongestMS }).Max),
			fmt.Sprintf("%d of %d", g.sum(func(m Moves) uint64 { return m.LoadFailed }), g.sum(func(m Moves) uint64 { return m.LoadOK + m.LoadFailed })),
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

// lagMS shows a lag.
func lagMS(ms float64) string {
	if math.IsNaN(ms) {
		return ""
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// lagText sums up a sorted sample in milliseconds.
func lagText(sorted []float64) string {
	if len(sorted) == 0 {
		return "none is known"
	}
	return fmt.Sprintf("p50 %s, p99 %s, max %s", lagMS(percentile(sorted, 0.5)), lagMS(percentile(sorted, 0.99)), lagMS(percentile(sorted, 1)))
}

// percentile is the smallest of a sorted sample that at least that share of it does not
// exceed (the nearest rank); NaN for an empty one.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
