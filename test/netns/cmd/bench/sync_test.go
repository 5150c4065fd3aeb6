// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestParseSync(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		entries []int
		systems int
		command string
		bad     bool
	}{
		{"without hafast", []string{"-systems", "none,conntrackd-ftfw"}, []int{100_000, 1_000_000}, 2, "go run ./test/netns/cmd/bench sync -systems none,conntrackd-ftfw", false},
		{"an earlier run", []string{"-from", "sync.json", "-write-docs"}, []int{100_000, 1_000_000}, 0, "make bench-sync", false},
		{"other sizes", []string{"-from", "x", "-entries", "5,6"}, []int{5, 6}, 0, "go run ./test/netns/cmd/bench sync -from x -entries 5,6", false},
		{"no big tables", []string{"-from", "x", "-entries="}, nil, 0, "go run ./test/netns/cmd/bench sync -from x -entries=", false},
		{"no number", []string{"-from", "x", "-entries", "5,x"}, nil, 0, "", true},
		{"too many entries", []string{"-from", "x", "-entries", "4000001"}, nil, 0, "", true},
		{"nothing held", []string{"-from", "x", "-held", "0"}, nil, 0, "", true},
		{"no window", []string{"-from", "x", "-window", "0s"}, nil, 0, "", true},
		{"an unknown system", []string{"-systems", "pfsync"}, nil, 0, "", true},
		{"a word too many", []string{"fast"}, nil, 0, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parseSync(tt.args)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && (!slices.Equal(opts.entries, tt.entries) || len(opts.systems) != tt.systems || opts.command != tt.command) {
				t.Errorf("sizes %v, %d systems, command %q", opts.entries, len(opts.systems), opts.command)
			}
		})
	}
}
