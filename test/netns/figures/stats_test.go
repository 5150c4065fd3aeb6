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
