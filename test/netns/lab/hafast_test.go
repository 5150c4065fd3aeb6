// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestHafastConfig holds what is left to the daemon's defaults, and what is not.
func TestHafastConfig(t *testing.T) {
	l := ForTest(t, Options{})
	a, _ := l.Pair()
	tests := []struct {
		name   string
		set    func(*Hafast)
		has    []string
		hasNot []string
	}{
		{
			"defaults", func(*Hafast) {},
			[]string{"bpf_dir: /sys/fs/bpf/" + a.Namespace()},
			[]string{"xdp:", "balance:", "liveness:", "services:"},
		},
		{
			"everything set",
			func(f *Hafast) {
				f.Liveness, f.Balance, f.XDP = Liveness{time.Millisecond, 4}, "local", "off"
			},
			[]string{"liveness: {interval: 1ms, multiplier: 4}", "balance: local", "xdp: off"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &Hafast{AdvertInterval: 10 * time.Millisecond}
			tt.set(f)
			if err := f.WriteConfig(a); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(f.ConfigPath(a))
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tt.has {
				if !strings.Contains(string(b), "\n"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, b)
				}
			}
			for _, key := range tt.hasNot {
				if strings.Contains(string(b), "\n"+key) {
					t.Errorf("%q in\n%s", key, b)
				}
			}
		})
	}
}
