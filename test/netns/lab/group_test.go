// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestGroup puts systems on more hosts than a pair, and on fewer than there are.
func TestGroup(t *testing.T) {
	l := ForTest(t, Options{Hosts: 3})
	a, b := l.Pair()
	c := l.Host("hac")
	group := l.Group()
	if len(group) != 3 || group[0] != a || group[1] != b || group[2] != c {
		t.Fatalf("the group is %v", group)
	}
	for _, tt := range []struct {
		hosts int
		peers string
	}{{0, a.Addr.String()}, {3, a.Addr.String() + ", " + c.Addr.String()}} {
		f := &Hafast{}
		f.Hosts = tt.hosts
		if err := f.WriteConfig(b); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.ConfigPath(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"peers: [" + tt.peers + "]\n", "priority: 100\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%d hosts: no %q in\n%s", tt.hosts, want, text)
			}
		}
	}
}

func TestNamesOfGroups(t *testing.T) {
	k, err := NewSystem("keepalived-seed-5")
	if err != nil || k.Size() != 5 || k.Name() != "keepalived-seed-5" {
		t.Errorf("%v, %v", k, err)
	}
	k, err = NewSystem("keepalived-seed")
	if err != nil || k.Size() != pairSize || k.Name() != "keepalived-seed" {
		t.Errorf("%v, %v", k, err)
	}
	if _, err := NewSystem("keepalived-seed-1"); err == nil {
		t.Error("a system on one host is taken")
	}
	if _, err := NewSystem("another-3"); !errors.Is(err, ErrUnknownSystem) {
		t.Errorf("an unknown system: %v", err)
	}
}
