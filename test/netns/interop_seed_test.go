// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"path/filepath"
	"testing"
	"time"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// The how-to's two files, word for word: version 2, priorities 101 and 100, and
// a check for haproxy that is worth 2 points.
const seedFiles = "../../internal/keepalived/testdata"

func seedConf(t *testing.T) func(*lab.Host) string {
	files := map[string]string{lab.HostA: "seed-host1.conf", lab.HostB: "seed-host2.conf"}
	return func(h *lab.Host) string { return read(t, filepath.Join(seedFiles, files[h.Name])) }
}

// TestInteropSeed migrates one host of the how-to's pair to hafast. A host whose
// haproxy dies falls behind the other by its 2 points, and is ahead again when the
// other one's dies, too.
func TestInteropSeed(t *testing.T) {
	t.Run(string(hafastLeads), func(t *testing.T) {
		t.Parallel()
		m := withKeepalived(t, hafastLeads, lab.VIP, seedConf(t))
		story(t, append(m.leading(),
			step{"102 beats 101", func(t *testing.T) {
				check(t, m.ours.KillHAProxy())
				m.peerActive(t)
				m.because(t, "higher priority")
				m.effective(t, 101)
				m.promptly(t)
			}},
			step{"101 beats 100", func(t *testing.T) {
				check(t, m.theirs.KillHAProxy())
				m.hafastActive(t)
				m.because(t, "lower priority")
			}},
			step{"102 beats 101 again", func(t *testing.T) {
				check(t, m.theirs.StartHAProxy(within(t)))
				m.peerActive(t)
			}},
			step{"103 beats 102", func(t *testing.T) {
				check(t, m.ours.StartHAProxy(within(t)))
				m.hafastActive(t)
				m.effective(t, 103)
			}},
			step{"nobody complains", m.amicable},
		))
	})
	t.Run(string(peerLeads), func(t *testing.T) {
		t.Parallel()
		m := withKeepalived(t, peerLeads, lab.VIP, seedConf(t))
		story(t, append(m.following(),
			step{"102 beats 101", func(t *testing.T) {
				check(t, m.theirs.KillHAProxy())
				m.hafastActive(t)
				m.because(t, "lower priority")
				m.effective(t, 102)
			}},
			step{"101 beats 100", func(t *testing.T) {
				check(t, m.ours.KillHAProxy())
				m.peerActive(t)
				m.because(t, "higher priority")
				m.effective(t, 100)
			}},
			step{"nobody complains", m.amicable},
		))
	})
	t.Run("hafast on both", func(t *testing.T) {
		t.Parallel()
		conf := seedConf(t)
		imported := make(map[*lab.Host]string)
		m := newMixed(t, hafastLeads, lab.VIP, func(m *mixed) lab.System {
			for _, h := range []*lab.Host{m.ours, m.theirs} {
				imported[h] = m.forLab(importConf(t, m.hafast, h, conf(h)), h)
			}
			m.hafast.Config = func(h *lab.Host) string { return imported[h] }
			return m.hafast
		})
		story(t, []step{
			{"election", m.hafastActive},
			{"102 beats 101", func(t *testing.T) {
				check(t, m.ours.KillHAProxy())
				m.peerActive(t)
				m.promptly(t)
			}},
			{"101 beats 100", func(t *testing.T) {
				check(t, m.theirs.KillHAProxy())
				m.hafastActive(t)
				m.effective(t, 101)
			}},
			{"102 beats 101 again", func(t *testing.T) {
				check(t, m.theirs.StartHAProxy(within(t)))
				m.peerActive(t)
			}},
			{"103 beats 102", func(t *testing.T) {
				check(t, m.ours.StartHAProxy(within(t)))
				m.hafastActive(t)
				m.effective(t, 103)
			}},
			{"nobody complains", m.amicable},
		})
	})
}

// promptly checks that hafast had a successor before that one's timer could have
// run out: what a Backup of higher priority waits for, three intervals of a
// second and its skew, unless priority 0 comes before the lower priority does.
func (m *mixed) promptly(t *testing.T) {
	t.Helper()
	events, err := control.NewClient(m.hafast.Socket(m.ours)).Events(t.Context(), 0)
	check(t, err)
	var fell, left time.Time
	for _, ev := range events {
		switch ev.Kind {
		case "health":
			fell = ev.Time
		case "transition":
			left = ev.Time
		}
	}
	if took := left.Sub(fell); took < 0 || took > 2*time.Second {
		t.Errorf("the successor came %s after haproxy's end", took)
	}
}
