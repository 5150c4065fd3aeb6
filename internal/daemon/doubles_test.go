// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/datapath"
	"hafast/internal/steering"
	"hafast/pkg/conntrack"
)

// TestPeerListedTwice: a host that is among the peers by an address of each family is
// told everything twice, and its daemon cannot tell; this host's says so, once.
func TestPeerListedTwice(t *testing.T) {
	const (
		sync   = "sync: {key_file: /etc/hafast/sync.key}\n"
		first  = "sync: {key_file: /etc/hafast/sync.key, peers: ['fd00::PEER']}\n"
		warned = `level=WARN msg="two peers are one host`
	)
	both := func(text, peers, sync string) string {
		return strings.Replace(text, "peers: [", "peers: ["+peers+", ", 1) + sync
	}
	for _, test := range []struct {
		name  string
		a, b  string
		times int
		text  string
	}{
		{
			name: "both hosts list both families",
			a:    both(member(1, 2), "'fd00::2'", sync), b: both(member(2, 2), "'fd00::1'", sync),
			times: 1, text: `peer="HOST (fd00::2)" again=10.0.0.2`,
		},
		{
			name: "the other one lists one, and so answers by that alone",
			a:    both(member(1, 2), "'fd00::2'", sync), b: member(2, 2) + sync,
			times: 1, text: `peer=fd00::2 again=10.0.0.2`,
		},
		{
			name: "sync.peers has it once",
			a:    both(member(1, 2), "'fd00::2'", strings.Replace(first, "PEER", "2", 1)),
			b:    both(member(2, 2), "'fd00::1'", strings.Replace(first, "PEER", "1", 1)),
		},
		{name: "no state is exchanged", a: both(member(1, 2), "'fd00::2'", ""), b: both(member(2, 2), "'fd00::1'", "")},
		{name: "three hosts, each once", a: member(1, 3) + sync, b: member(2, 3) + sync},
	} {
		t.Run(test.name, func(t *testing.T) {
			configs := []string{test.a, test.b}
			if strings.Contains(test.name, "three") {
				configs = append(configs, member(3, 3)+sync)
			}
			inFleet(t, configs, func(w *fleetWorld) {
				a := w.settled()[0]
				pass(10 * time.Second)
				a.on(func(time.Time) {
					idle := slices.IndexFunc(a.path.desired.Targets, func(t datapath.Target) bool { return t.State != steering.Up })
					if test.times == 0 && idle >= 0 {
						t.Errorf("%v takes no flows", a.path.desired.Targets[idle].Addr)
					}
					log := a.log.String()
					if n := strings.Count(log, warned); n != test.times {
						t.Errorf("warned %d times, want %d; log:\n%s", n, test.times, log)
					}
					if want := strings.ReplaceAll(test.text, "HOST", a.cfg.Node); !strings.Contains(log, want) {
						t.Errorf("no %s in\n%s", want, log)
					}
				})
			})
		})
	}
}

func TestSameHost(t *testing.T) {
	peers := []conntrack.PeerStatus{{Addr: w4(2), Boot: 7}, {Addr: w4(3)}, {Addr: w4(4), Boot: 9}}
	for boot, want := range map[uint64]string{0: "", 7: "10.0.0.2", 8: "", 9: "10.0.0.4"} {
		if got := sameHost(peers, boot); got != want {
			t.Errorf("boot %d is that of %q, want %q", boot, got, want)
		}
	}
}
