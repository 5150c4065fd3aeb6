// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

// inGroup is the configuration of a group: flows are replicated, so that each host knows
// those of all others.
func inGroup(h *lab.Host) string {
	return watching(h) + fmt.Sprintf("sync: {key_file: %s}\n", keyFile(h)) +
		"instances:\n" + vi(h, "VI_1", 51, "300ms", []string{lab.VIP.String()}, "") +
		vi(h, "VI_6", 56, "300ms", []string{lab.VIP6.String()}, "")
}

// sharingAll waits until all hosts send new flows to all haproxies.
func (p *pair) sharingAll(t *testing.T) {
	t.Helper()
	var nodes []string
	for _, h := range p.hosts {
		nodes = append(nodes, h.Name)
	}
	for _, h := range p.hosts {
		p.targets(t, h, lab.HTTPPort, nodes...)
	}
}

// holdEach opens held connections until each haproxy has n.
func (p *pair) holdEach(t *testing.T, n int) map[*lab.Host]held {
	t.Helper()
	const tries = 500
	of := make(map[*lab.Host]held)
	for range tries {
		if !slices.ContainsFunc(p.hosts, func(h *lab.Host) bool { return len(of[h]) < n }) {
			return of
		}
		conn, by := p.hold(t, lab.VIP)
		of[by] = append(of[by], conn)
	}
	t.Fatalf("after %d connections not each haproxy has %d", tries, n)
	return nil
}

// settledAmong waits until the first of the living hosts is Active and the rest is Backup.
func (p *pair) settledAmong(t *testing.T, living []*lab.Host) {
	t.Helper()
	check(t, lab.WaitSettled(within(t), p.sys, living[0], living[1:]...))
	p.answeredBy(t, living[0], lab.VIP)
	p.serves(t, lab.VIP)
}

// promptly checks that one of the hosts has taken the place of an Active, in both instances,
// for what S-BFD and hellos say and not after a wait for adverts. On a busy machine others
// may have taken it from that host again.
func (p *pair) promptly(t *testing.T, living []*lab.Host) {
	t.Helper()
	for _, instance := range []string{"VI_1", "VI_6"} {
		var causes []string
		for _, h := range living {
			for _, ev := range p.events(t, h, "transition", 0) {
				if ev.Instance == instance && ev.To == string(lab.StateActive) {
					causes = append(causes, h.Name+": "+ev.Cause)
				}
			}
		}
		if !slices.ContainsFunc(causes, func(c string) bool { return strings.Contains(c, "dead or out of service") }) {
			t.Errorf("%s moved for other reasons: %q", instance, causes)
		}
	}
}

// TestGroupFaults has hosts of groups die in several ways. Exactly one of those that are
// left is Active afterwards, and what their haproxies have goes on.
func TestGroupFaults(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprintf("%d hosts", size), func(t *testing.T) {
			p := newGroup(t, size)
			for _, tt := range []struct {
				name  string
				fault func(t *testing.T)
				// dead are the first of the hosts whose connections end, gone those that do
				// not take part any more.
				dead, gone int
			}{
				{"the active host dies", func(t *testing.T) { check(t, p.a.SilentDeath()) }, 1, 1},
				{"its haproxy dies", func(t *testing.T) { check(t, p.a.KillHAProxy()) }, 1, 0},
				{"its daemon dies", func(t *testing.T) { check(t, p.sys.Kill(p.a)) }, 0, 1},
				{"two die at once", func(t *testing.T) {
					check(t, p.a.SilentDeath())
					check(t, p.b.SilentDeath())
				}, 2, 2},
				{"two die one after the other", func(t *testing.T) {
					check(t, p.a.SilentDeath())
					p.inState(t, p.b, lab.StateActive)
					check(t, lab.Pass(t.Context(), time.Second))
					check(t, p.b.SilentDeath())
				}, 2, 2},
				{"the successor dies first", func(t *testing.T) {
					check(t, p.b.SilentDeath())
					check(t, p.a.SilentDeath())
				}, 2, 2},
			} {
				t.Run(tt.name, func(t *testing.T) {
					p.runKeyedAs(t, inGroup)
					p.sharingAll(t)
					of := p.holdEach(t, fewHeld)
					p.inSync(t)
					tt.fault(t)
					living := slices.Clone(p.hosts[tt.gone:])
					if tt.gone == 0 { // it is a Backup now
						living[0], living[1] = living[1], living[0]
					}
					p.settledAmong(t, living)
					p.answeredBy(t, living[0], lab.VIP6)
					p.promptly(t, living)
					for _, h := range p.hosts[tt.dead:] {
						of[h].live(t, h.Name)
					}
					for _, h := range p.hosts[:tt.dead] {
						of[h].broken(t, h.Name)
					}
				})
			}
		})
	}
}

// TestGroupFalseAlarm closes the Active's port in a group: as in a pair, nothing is lost.
func TestGroupFalseAlarm(t *testing.T) {
	t.Parallel()
	p := newGroup(t, 3)
	p.runKeyedAs(t, func(h *lab.Host) string { return quickLiveness + inGroup(h) })
	p.sharingAll(t)
	of := p.holdEach(t, fewHeld)
	p.inSync(t)
	all := slices.Concat(slices.Collect(maps.Values(of))...)
	port, err := p.a.PortSwitch()
	check(t, err)
	for _, direction := range []lab.Direction{lab.BothWays, lab.FromHost, lab.ToHost} {
		used := all.use()
		port.CloseFor(direction, 20*time.Millisecond)
		for conn, err := range used() {
			t.Errorf("%s: held connection from %s: %v", direction, conn.LocalAddr(), err)
		}
		p.rests(t, direction.String())
		all.live(t, "all")
	}
	p.answeredBy(t, p.a, lab.VIP)
}

// TestGroupPlanned moves the VIP of a group on purpose, under load: nothing is lost, and
// no new connection fails.
func TestGroupPlanned(t *testing.T) {
	t.Parallel()
	p := newGroup(t, 3)
	p.runKeyedAs(t, inGroup)
	p.sharingAll(t)
	of := p.holdEach(t, fewHeld)
	p.inSync(t)
	load := p.traffic(t, lab.VIP)
	unharmed := func(what string) {
		t.Helper()
		for h, conns := range of {
			conns.live(t, what+": "+h.Name)
		}
	}

	p.asks(t, p.a, 0, "drain")
	check(t, lab.WaitSettled(within(t), p.sys, p.b, p.a, p.hosts[2]))
	p.promptly(t, p.hosts[1:])
	unharmed("drained")
	p.asks(t, p.a, 0, "ready")
	p.settled(t, p.a)
	unharmed("ready")

	p.stop(t, p.a)
	check(t, lab.WaitSettled(within(t), p.sys, p.b, p.hosts[2]))
	unharmed("stopped")
	p.stop(t, p.b)
	check(t, lab.WaitSettled(within(t), p.sys, p.hosts[2]))
	p.promptly(t, p.hosts[2:])
	unharmed("the next one stopped")
	p.start(t, p.b)
	p.start(t, p.a)
	p.settled(t, p.a)
	unharmed("started")

	check(t, p.sys.Upgrade(within(t), p.a))
	p.settled(t, p.a)
	unharmed("upgraded")
	load.unharmed(t)
	p.answeredBy(t, p.a, lab.VIP)
}

// TestGroupWithoutHellos has a host in a group that speaks nothing but VRRP. Nobody knows
// whether it is there but by its adverts: the best one ends up with the VIP (RFC 9568).
func TestGroupWithoutHellos(t *testing.T) {
	t.Parallel()
	p := newGroup(t, 3)
	c := p.hosts[2]
	conf := func(h *lab.Host) string {
		return watching(h) + "instances:\n" + vi(h, "VI_1", 51, "100ms", []string{lab.VIP.String()}, "version: 3\n")
	}

	t.Run("the second one is hafast without a data path", func(t *testing.T) {
		p.run(t, func(h *lab.Host) string {
			if h == p.b {
				return "xdp: off\n" + conf(h)
			}
			return conf(h)
		})
		p.journalled(t, c, "liveness", "left to adverts", 0)
		check(t, p.a.SilentDeath())
		p.settledAmong(t, []*lab.Host{p.b, c})
		check(t, p.a.Revive())
		p.settledAmong(t, p.hosts)
		check(t, p.sys.Signal(p.a, unix.SIGTERM))
		p.settledAmong(t, []*lab.Host{p.b, c})
	})

	t.Run("the last one is keepalived", func(t *testing.T) {
		lab.SkipUnlessInstalled(t, "keepalived")
		p.fresh(t, conf)
		last := &keepalivedPeer{Keepalived: lab.KeepalivedSeed(), vip: lab.VIP, conf: func(h *lab.Host) string {
			return fmt.Sprintf("vrrp_instance VI_1 {\n  interface eth0\n  version 3\n  virtual_router_id 51\n  priority %d\n  advert_int 0.1\n  virtual_ipaddress {\n    %s\n  }\n}\n",
				lab.Priority(h), lab.VIP)
		}}
		for _, h := range p.hosts {
			check(t, h.StartHAProxy(within(t)))
		}
		p.start(t, p.a)
		p.start(t, p.b)
		check(t, last.Start(within(t), c))
		p.settledAmong(t, p.hosts[:2])
		check(t, p.a.SilentDeath())
		p.settledAmong(t, []*lab.Host{p.b})
		check(t, p.b.SilentDeath())
		p.answeredBy(t, c, lab.VIP)
		check(t, p.a.Revive())
		p.settledAmong(t, []*lab.Host{p.a})
	})
}
