// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestParsePath(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		ways    int
		command string
		bad     bool
	}{
		{"the make target", nil, 5, "make bench-path", false},
		{"for the document", []string{"-write-docs"}, 5, "make bench-path", false},
		{"two ways", []string{"-ways", "direct,nft dnat"}, 2, "go run ./test/netns/cmd/bench path -ways 'direct,nft dnat'", false},
		{"no such way", []string{"-ways", "detour"}, 0, "", true},
		{"no rounds", []string{"-rounds", "0"}, 0, "", true},
		{"no time", []string{"-window", "1ms"}, 0, "", true},
		{"a word too many", []string{"fast"}, 0, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parsePath(tt.args)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && (len(opts.ways) != tt.ways || opts.command != tt.command) {
				t.Errorf("%d ways, command %q", len(opts.ways), opts.command)
			}
		})
	}
}

func TestParseShare(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		quota   float64
		command string
		bad     bool
	}{
		{"the make target", nil, 0.2, "make bench-share", false},
		{"another quota", []string{"-quota", "0.5"}, 0.5, "go run ./test/netns/cmd/bench share -quota 0.5", false},
		{"less than there is", []string{"-quota", "0.05"}, 0, "", true},
		{"more than a core", []string{"-quota", "2"}, 0, "", true},
		{"no rounds", []string{"-rounds", "0"}, 0, "", true},
		{"a word too many", []string{"fast"}, 0, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parseShare(tt.args)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && (opts.quota != tt.quota || opts.command != tt.command) {
				t.Errorf("quota %v, command %q", opts.quota, opts.command)
			}
		})
	}
}
