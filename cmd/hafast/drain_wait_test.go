// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// A log is told at once and then now and then; a terminal of each change, in one
// line that is ended before anything else is said.
func TestCountdown(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	steps := []struct {
		at   time.Duration
		left *int
	}{
		{0, nil},
		{time.Second, new(3)},
		{2 * time.Second, new(2)},
		{3 * time.Second, new(2)},
		{11 * time.Second, new(2)},
		{12 * time.Second, new(1)},
		{13 * time.Second, nil},
	}
	for _, tt := range []struct {
		name   string
		redraw bool
		want   string
	}{
		{"log", false, "3 connections are still open here\n2 connections are still open here\n"},
		{"terminal", true, "\r3 connections are still open here\x1b[K\r2 connections are still open here\x1b[K\r1 connection is still open here\x1b[K\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			c := countdown{out: &out, redraw: tt.redraw}
			for _, step := range steps {
				if err := c.update(begin.Add(step.at), step.left); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // The second end has nothing to do.
				if err := c.end(); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}
