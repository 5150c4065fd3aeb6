// SPDX-License-Identifier: Apache-2.0

package replication

import (
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
