// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"hafast/test/netns/lab"
)

// keepalivedPeer is keepalived with a configuration of the test's.
type keepalivedPeer struct {
	*lab.Keepalived
	vip  netip.Addr
	conf func(*lab.Host) string
}

// Start implements lab.System.
func (k *keepalivedPeer) Start(_ context.Context, h *lab.Host) error {
	script := h.Path("check-haproxy")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nkill -0 \"$(cat %s)\"\n", h.HAProxyPIDFile()), 0o755); err != nil {
		return err
	}
	// The hosts share pids, so a check by name would see every host's haproxy.
	conf := strings.ReplaceAll(k.conf(h), "pkill -0 haproxy", script)
	path := h.Path("keepalived.conf")
	if err := os.WriteFile(path, []byte("global_defs {\n\tscript_user root\n}\n"+conf), 0o644); err != nil {
		return err
	}
	return k.StartWith(h, path)
}

// State implements lab.System.
func (k *keepalivedPeer) State(_ context.Context, h *lab.Host) lab.State {
	switch p := k.Proc(h); {
	case p == nil || p.Exited():
		return lab.StateGone
	case h.HasAddr(k.vip):
		return lab.StateActive
	default:
		return lab.StateBackup
	}
}

// keepalivedComplaints are from keepalived's messages on adverts that it drops
// or wonders about.
func keepalivedComplaints() []string {
	return []string{"invalid", "bogus", "checksum", "mismatch", "unexpected", "wrong version", "not present"}
}

// withKeepalived makes a pair of hafast and keepalived of one keepalived.conf per
// host: keepalived reads it, hafast imports it.
func withKeepalived(t *testing.T, r role, vip netip.Addr, conf func(*lab.Host) string) *mixed {
	t.Helper()
	lab.SkipUnlessInstalled(t, "keepalived")
	return newMixed(t, r, vip, func(m *mixed) lab.System {
		m.complaints = keepalivedComplaints()
		imported := m.forLab(importConf(t, m.hafast, m.ours, conf(m.ours)), m.ours)
		m.hafast.Config = func(*lab.Host) string { return imported }
		return &keepalivedPeer{Keepalived: lab.KeepalivedSeed(), vip: vip, conf: conf}
	})
}

// importConf is what `hafast import` makes of a keepalived.conf.
func importConf(t *testing.T, f *lab.Hafast, h *lab.Host, conf string) string {
	t.Helper()
	in, out := h.Path("import.conf"), h.Path("imported.yaml")
	check(t, os.WriteFile(in, []byte(conf), 0o644))
	_, err := h.Run(within(t), f.Binary, "import", in, "-o", out)
	check(t, err)
	return read(t, out)
}

// confOf fills in a keepalived.conf of testdata, host by host.
func confOf(t *testing.T, name string) func(*lab.Host) string {
	addrs := map[string]string{lab.HostA: "10.224.147.166", lab.HostB: "10.224.147.167"}
	others := map[string]string{lab.HostA: lab.HostB, lab.HostB: lab.HostA}
	return func(h *lab.Host) string {
		return fill(t, name, map[string]any{
			"Priority": lab.Priority(h), "Reverse": 201 - lab.Priority(h), "Self": addrs[h.Name], "Peer": addrs[others[h.Name]],
		})
	}
}

func TestInteropKeepalived(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		vip        netip.Addr
	}{
		{"v3", "interop-v3.conf", lab.VIP},
		{"v3 unicast", "interop-v3-unicast.conf", lab.VIP},
		{"v3 IPv6", "interop-v3-ipv6.conf", lab.VIP6},
	} {
		for _, r := range roles() {
			t.Run(c.name+"/"+string(r), func(t *testing.T) {
				t.Parallel()
				m := withKeepalived(t, r, c.vip, confOf(t, c.conf))
				if r == hafastLeads {
					story(t, append(m.leading(), m.leaving()...))
				} else {
					story(t, m.following())
				}
			})
		}
	}
}

// TestInteropPassword is version 2 with authentication PASS.
func TestInteropPassword(t *testing.T) {
	for _, r := range roles() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			m := withKeepalived(t, r, lab.VIP, confOf(t, "interop-v2-auth.conf"))
			if r == hafastLeads {
				story(t, []step{
					{"election", m.hafastActive},
					{"planned stop", func(t *testing.T) {
						m.stopHafast(t)
						m.peerActive(t)
					}},
					{"preemption", func(t *testing.T) {
						check(t, m.hafast.Start(within(t), m.ours))
						m.hafastActive(t)
					}},
					{"drain", func(t *testing.T) {
						check(t, m.hafast.Drain(within(t), m.ours))
						m.peerActive(t)
					}},
					{"nobody complains", m.amicable},
				})
				return
			}
			story(t, []step{
				{"election", m.peerActive},
				{"planned stop", func(t *testing.T) {
					check(t, m.peer.Proc(m.theirs).Stop(within(t)))
					m.hafastActive(t)
					m.because(t, "resigned")
				}},
				{"preemption", func(t *testing.T) {
					check(t, m.peer.Start(within(t), m.theirs))
					m.peerActive(t)
					m.because(t, "higher priority")
				}},
				{"nobody complains", m.amicable},
			})
		})
	}
}

// TestInteropVersionsSideBySide has a version 2 instance that hafast leads and a
// version 3 one that keepalived leads on the same interface.
func TestInteropVersionsSideBySide(t *testing.T) {
	t.Parallel()
	two := withKeepalived(t, hafastLeads, lab.VIP, confOf(t, "interop-v2-v3.conf"))
	three := *two
	three.instance, three.vip = "VI_2", netip.MustParseAddr("10.224.147.209")
	peer := *two.peer.(*keepalivedPeer)
	peer.vip = three.vip
	three.peer = &peer
	story(t, []step{
		{"election", func(t *testing.T) {
			two.hafastActive(t)
			three.peerActive(t)
		}},
		{"keepalived stops", func(t *testing.T) {
			check(t, two.peer.Proc(two.theirs).Stop(within(t)))
			two.hafastActive(t)
			three.hafastActive(t)
			three.because(t, "resigned")
		}},
		{"keepalived returns", func(t *testing.T) {
			check(t, two.peer.Start(within(t), two.theirs))
			three.peerActive(t)
			two.hafastActive(t)
		}},
		{"hafast stops", func(t *testing.T) {
			check(t, two.hafast.Proc(two.ours).Stop(within(t)))
			two.peerActive(t)
			three.peerActive(t)
		}},
		{"hafast returns", func(t *testing.T) {
			check(t, two.hafast.Start(within(t), two.ours))
			two.hafastActive(t)
			three.peerActive(t)
		}},
		{"nobody complains", func(t *testing.T) {
			two.amicable(t)
			three.amicable(t)
		}},
	})
}
