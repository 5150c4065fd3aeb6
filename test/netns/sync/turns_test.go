// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestShares compares a turn with what comes before and after it, so that a machine that
// slows down steadily does the system that comes second no wrong.
func TestShares(t *testing.T) {
	slowing := Turns{Alone: []float64{1000, 800, 600}, With: []float64{810, 630, 450}}
	want := []float64{0.75, 0.9, 0.9} // the last one has nothing behind it
	if diff := cmp.Diff(want, slowing.Shares(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
}
