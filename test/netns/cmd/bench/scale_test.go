// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"testing"
)

func TestParseScale(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		vips    []int
		command string
		bad     bool
	}{
		{"the make target", nil, []int{1, 10, 100, 1000}, "make bench-scale", false},
		{"for the document", []string{"-write-docs"}, []int{1, 10, 100, 1000}, "make bench-scale", false},
		{"other sizes", []string{"-vips", "2,3"}, []int{2, 3}, "go run ./test/netns/cmd/bench scale -vips 2,3", false},
		{"no promotions", []string{"-vips="}, nil, "go run ./test/netns/cmd/bench scale -vips=", false},
		{"no number", []string{"-vips", "2,x"}, nil, "", true},
		{"no VIPs", []string{"-vips", "0"}, nil, "", true},
		{"more instances than there are", []string{"-instances", "256"}, nil, "", true},
		{"no rounds", []string{"-rounds", "0"}, nil, "", true},
		{"a word too many", []string{"fast"}, nil, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parseScale(tt.args)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && (!slices.Equal(opts.vips, tt.vips) || opts.command != tt.command) {
				t.Errorf("sizes %v, command %q", opts.vips, opts.command)
			}
		})
	}
}

func TestUnknownSubcommand(t *testing.T) {
	for _, args := range [][]string{nil, {"speed"}} {
		if err := run(t.Context(), args, t.Output()); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
