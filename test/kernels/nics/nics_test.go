// SPDX-License-Identifier: Apache-2.0

package nics_test

import (
	"fmt"
	"slices"
	"testing"

	"hafast/test/kernels/nics"
)

var networks = []nics.Network{
	{Name: "hub", Interfaces: []string{"eth0", "eth1"}},
	{Name: "one-queue", Interfaces: []string{"eth2"}},
}

func TestEncode(t *testing.T) {
	value := nics.Encode(networks)
	if want := "hub:eth0,eth1;one-queue:eth2"; value != want {
		t.Errorf("got %q, want %q", value, want)
	}
	for _, n := range networks {
		if got := nics.Decode(value, n.Name); !slices.Equal(got, n.Interfaces) {
			t.Errorf("%s: got %q, want %q", n.Name, got, n.Interfaces)
		}
	}
	for _, c := range []struct{ value, network string }{
		{value, "queue"},
		{value, ""},
		{"", "hub"},
		{"hub:", "hub"},
		{"hub", "hub"},
	} {
		if got := nics.Decode(c.value, c.network); got != nil {
			t.Errorf("%q in %q: got %q", c.network, c.value, got)
		}
	}
}

// skipped records the words of a skip.
type skipped struct{ words string }

func (s *skipped) Helper()          {}
func (s *skipped) Skip(args ...any) { s.words = fmt.Sprint(args...) }

func TestNeed(t *testing.T) {
	t.Setenv(nics.Variable, nics.Encode(networks))
	var s skipped
	if got := nics.Need(&s, "one-queue"); !slices.Equal(got, []string{"eth2"}) || s.words != "" {
		t.Errorf("given: got %q, skipped with %q", got, s.words)
	}
	if got := nics.Need(&s, "queues"); got != nil || nics.Needed("x_test.go:1: "+s.words+"\n") != "queues" {
		t.Errorf("not given: got %q, skipped with %q", got, s.words)
	}
	if got := nics.Needed("needs Linux 6.1"); got != "" {
		t.Errorf("another reason: got %q", got)
	}
}
