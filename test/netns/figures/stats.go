// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Stats sums up a sample.
type Stats struct {
	N                     int
	Min, Median, P90, Max float64
}

// Summarise computes the statistics of a sample in any order; all are NaN
// for an empty one.
func Summarise(sample []float64) Stats {
	if len(sample) == 0 {
		nan := math.NaN()
		return Stats{Min: nan, Median: nan, P90: nan, Max: nan}
	}
	s := slices.Sorted(slices.Values(sample))
	return Stats{N: len(s), Min: s[0], Median: quantile(s, 0.5), P90: quantile(s, 0.9), Max: s[len(s)-1]}
}

// quantile interpolates linearly between the two nearest of a sorted sample
// (Hyndman and Fan's type 7, the default of R and NumPy).
func quantile(sorted []float64, q float64) float64 {
	pos := q * float64(len(sorted)-1)
	below := int(math.Floor(pos))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (pos-float64(below))*(sorted[above]-sorted[below])
}

// Percentile is the smallest of a sorted sample that at least that share of it does not
// exceed (the nearest rank); NaN for an empty one.
func Percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// Milliseconds is a duration as reports have it.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// LagMS is a lag in milliseconds as tables have it; nothing for NaN.
func LagMS(ms float64) string {
	if math.IsNaN(ms) {
		return ""
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// Lags sums up a sorted sample of lags as tables have it.
func Lags(sorted []float64) (p50, p99, most string) {
	at := func(share float64) string { return LagMS(Percentile(sorted, share)) }
	return at(0.5), at(0.99), at(1)
}
