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
	for planned, want := range map[int]int{0: 2, 6: 4} {
		seen := make(map[string]bool)
		for _, p := range Plans(planned) {
			seen[p.String()] = true
		}
		if len(seen) != want {
			t.Errorf("%d planned changes: %v", planned, seen)
		}
	}
}
