package replication

import (
	"math"
	"net/netip"
	"testing"
)

func TestHasEstablished(t *testing.T) {
	const text = "tcp      6 TIME_WAIT src=10.9.1.200 dst=10.9.2.200 sport=24760 dport=7005 [ASSURED] [active since 1s]\n" +
		"tcp      6 ESTABLISHED src=10.9.1.200 dst=10.9.2.200 sport=19402 dport=7062 [ASSURED] [active since 4s]\n"
	tests := []struct {
		name, from, to string
		want           bool
	}{
		{"established", "10.9.1.200:19402", "10.9.2.200:7062", true},
		{"ended", "10.9.1.200:24760", "10.9.2.200:7005", false},
		{"another port", "10.9.1.200:1940", "10.9.2.200:7062", false},
		{"another address", "10.9.1.20:19402", "10.9.2.200:7062", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := flow{from: netip.MustParseAddrPort(tt.from), to: netip.MustParseAddrPort(tt.to)}
			if got := hasEstablished(text, f); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
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
		got := percentile(tt.sample, tt.share)
		if got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("%g of %d: %g, want %g", tt.share, len(tt.sample), got, tt.want)
		}
	}
}
