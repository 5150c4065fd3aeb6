// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"math"
	"testing"
)

func TestSummarise(t *testing.T) {
	tests := []struct {
		name   string
		sample []float64
		want   Stats
	}{
		{"one", []float64{7}, Stats{N: 1, Min: 7, Median: 7, P90: 7, Max: 7}},
		{"two", []float64{20, 10}, Stats{N: 2, Min: 10, Median: 15, P90: 19, Max: 20}},
		{"odd", []float64{3, 1, 2}, Stats{N: 3, Min: 1, Median: 2, P90: 2.8, Max: 3}},
		{"eleven", []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Stats{N: 11, Min: 0, Median: 5, P90: 9, Max: 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Summarise(tt.sample)
			if got.N != tt.want.N || got.Min != tt.want.Min || got.Max != tt.want.Max ||
				math.Abs(got.Median-tt.want.Median) > 1e-9 || math.Abs(got.P90-tt.want.P90) > 1e-9 {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		if got := Summarise(nil); got.N != 0 || !math.IsNaN(got.Median) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("the sample stays as it is", func(t *testing.T) {
		sample := []float64{2, 1}
		Summarise(sample)
		if sample[0] != 2 {
			t.Error("it was sorted in place")
		}
	})
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, tt := range []struct {
		sample      []float64
		share, want float64
	}{
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred[:1], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{nil, 0.5, math.NaN()},
	} {
		got := Percentile(tt.sample, tt.share)
		if got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("%g of %d: %g, want %g", tt.share, len(tt.sample), got, tt.want)
		}
	}
}
