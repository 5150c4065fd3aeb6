// SPDX-License-Identifier: Apache-2.0

package figures

import "slices"

// Group is the results that belong in one row of a table.
type Group[K comparable, R any] struct {
	Key     K
	Results []R
}

// Groups sorts results by key, in the order in which keys appear.
func Groups[K comparable, R any](results []R, key func(R) K) []Group[K, R] {
	var all []Group[K, R]
	for _, r := range results {
		k := key(r)
		at := slices.IndexFunc(all, func(g Group[K, R]) bool { return g.Key == k })
		if at < 0 {
			at = len(all)
			all = append(all, Group[K, R]{Key: k})
		}
		all[at].Results = append(all[at].Results, r)
	}
	return all
}

// Stats sums up one figure of the results.
func (g Group[K, R]) Stats(figure func(R) float64) Stats {
	sample := make([]float64, len(g.Results))
	for i, r := range g.Results {
		sample[i] = figure(r)
	}
	return Summarise(sample)
}

// Sum adds up a count of the results.
func (g Group[K, R]) Sum(count func(R) uint64) (sum uint64) {
	for _, r := range g.Results {
		sum += count(r)
	}
	return sum
}
