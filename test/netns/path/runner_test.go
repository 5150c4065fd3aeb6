// SPDX-License-Identifier: Apache-2.0

package path

import (
	"os"
	"testing"
	"time"

	"hafast/internal/config"
	"hafast/test/netns/lab"
	"hafast/test/netns/path/load"
)

func TestMain(m *testing.M) {
	load.Main()
	os.Exit(m.Run())
}

func TestParseArrived(t *testing.T) {
	const snmp = `Tcp: RtoAlgorithm InErrs
Tcp: 1 5
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 100 7 20 9 20
UdpLite: InDatagrams InErrors
UdpLite: 1 1
`
	if n, err := parseArrived(snmp); err != nil || n != 120 {
		t.Errorf("got %d, %v; want 120", n, err)
	}
	for _, bad := range []string{"", "Udp: InDatagrams\n", "Udp: InDatagrams InErrors\nUdp: 1\n", "Udp: InDatagrams\nUdp: x\n"} {
		if _, err := parseArrived(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestWaysLead lets every way but hafast's carry every load for a moment, and looks
// whether the pair is clean afterwards.
func TestWaysLead(t *testing.T) {
	lab.SkipUnlessInstalled(t, "keepalived", "nft")
	l := lab.ForTest(t, lab.Options{})
	runner := Runner{Lab: l, Window: 200 * time.Millisecond}
	for _, w := range Ways() {
		if w.Name == hafastWay {
			continue
		}
		t.Run(w.Name, func(t *testing.T) {
			results, err := runner.Run(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != len(runner.Loads()) {
				t.Errorf("%d results", len(results))
			}
			for _, r := range results {
				t.Logf("%s: %s", r.Load, r)
				if r.Rate <= 0 || r.CPUus <= 0 {
					t.Errorf("%s: %+v", r.Load, r)
				}
			}
			near, far := l.Pair()
			for _, h := range []*lab.Host{near, far} {
				if h.HasAddr(lab.VIP) || h.HasAddrOn("lo", lab.VIP) {
					t.Errorf("%s still has the VIP", h.Name)
				}
			}
			if tables, err := near.Run(t.Context(), "nft", "list", "tables"); err != nil || tables != "" {
				t.Errorf("netfilter still has %q, %v", tables, err)
			}
		})
	}
}

// TestHafastConfigIsGood has the configuration of the way read as the daemon does.
func TestHafastConfigIsGood(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	s := &site{lab: l}
	s.near, s.far = l.Pair()
	f := &lab.Hafast{Config: func(h *lab.Host) string { return s.hafastConfig(&lab.Hafast{}, h) }}
	for _, h := range []*lab.Host{s.near, s.far} {
		if err := f.WriteConfig(h); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(f.ConfigPath(h))
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.Services) != 2 || cfg.Balance != "shared" || cfg.HAProxy.Weight == 0 {
			t.Errorf("%s: %+v", h.Name, cfg)
		}
	}
}
