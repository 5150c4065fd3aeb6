// SPDX-License-Identifier: Apache-2.0

package replication

import (
	"errors"
	"testing"

	"hafast/test/netns/lab"
)

func TestNewSystem(t *testing.T) {
	for _, name := range append(SystemNames(), VariantNames()...) {
		sys, err := NewSystem(name)
		if errors.Is(err, lab.ErrNoBinary) {
			continue
		}
		if err != nil || sys.Name() != name {
			t.Errorf("%s: %v, %v", name, sys, err)
		}
	}
	for _, name := range []string{"", "none-direct", "conntrackd", "conntrackd-alarm", "hafast-direct"} {
		if _, err := NewSystem(name); !errors.Is(err, errUnknownSystem) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPlans(t *testing.T) {
	for _, tt := range []struct{ planned, deaths, want int }{{0, 0, 0}, {0, 5, 2}, {50, 0, 2}, {50, 5, 4}} {
		seen := make(map[string]bool)
		for _, p := range Plans(tt.planned, tt.deaths) {
			seen[p.String()] = true
		}
		if len(seen) != tt.want {
			t.Errorf("%d planned changes and %d deaths: %v, want %d plans", tt.planned, tt.deaths, seen, tt.want)
		}
	}
}

// TestPlanForSystem gives the systems that lose connections fewer changes.
func TestPlanForSystem(t *testing.T) {
	planned, deaths := Plan{Planned: 50, Lossy: true}, Plan{Deaths: 5}
	nothing, ftfw := &lab.RouterKeepalived{}, &lab.RouterKeepalived{Mode: "FTFW"}
	for _, tt := range []struct {
		sys        System
		plan, want Plan
	}{
		{nothing, planned, Plan{}},
		{nothing, deaths, Plan{Deaths: 1}},
		{nothing, Plan{Planned: 50}, Plan{Planned: 2}},
		{ftfw, planned, Plan{Planned: 10, Lossy: true}},
		{ftfw, Plan{Planned: 3}, Plan{Planned: 3}},
		{ftfw, deaths, Plan{Deaths: 2}},
		{&lab.RouterKeepalived{Mode: "NOTRACK"}, planned, Plan{}},
		{&lab.RouterHafast{Hafast: &lab.Hafast{}, Unsynced: true}, deaths, Plan{}},
		{&lab.RouterHafast{Hafast: &lab.Hafast{}}, planned, planned},
		{&lab.RouterHafast{Hafast: &lab.Hafast{}}, deaths, deaths},
	} {
		if got := tt.plan.For(tt.sys); got != tt.want {
			t.Errorf("%s: of %+v it carries out %+v, want %+v", tt.sys.Name(), tt.plan, got, tt.want)
		}
	}
}
