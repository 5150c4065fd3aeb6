// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"strings"
	"testing"
	"time"

	"hafast/test/netns/lab"
	"hafast/test/netns/takeover"
)

// TestTakeover lets every fault happen once. Its figures are one round's on a busy
// machine and only logged; the benchmark is for comparing. What must hold whatever
// the machine does is who answers in the end, and which connections live.
func TestTakeover(t *testing.T) {
	p := newPair(t)
	for _, fault := range takeover.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			p.fresh(t, func(h *lab.Host) string {
				return watching(h) + "instances:\n" + vi(h, "VI_1", 51, "10ms", []string{lab.VIP.String()}, "")
			})
			runner := takeover.Runner{Lab: p.Lab, Interval: 2 * time.Millisecond, Held: 20, Spread: 10 * time.Millisecond}
			got, err := runner.Run(t.Context(), p.sys, fault)
			check(t, err)
			t.Logf("outage %.1f ms in %d pieces, takeover %.1f ms, %d of %d attempts failed, %d of %d held connections survived, %d of %d on the host that was spared, %d responders",
				got.OutageMS, got.Interruptions, got.TakeoverMS, got.Failed, got.Attempts, got.Survivors, got.Held,
				got.SurvivorsOnSurvivor, got.HeldOnSurvivor, got.Responders)
			if !got.AsExpected || !got.Recovered || got.Responders != 1 {
				t.Errorf("VIP where it should be: %t, served again: %t, %d responders", got.AsExpected, got.Recovered, got.Responders)
			}
			if fault.MovesVIP() && !got.TakenOver {
				t.Error("the peer did not take over")
			}
			if got.SurvivorsOnSurvivor != got.HeldOnSurvivor {
				t.Error("connections were lost with whose haproxy nothing had happened")
			}
			answers := p.b
			switch fault {
			case takeover.HostDeath, takeover.LinkDown, takeover.HAProxyKill:
			case takeover.StandbyDeath, takeover.StandbyHAProxyKill:
				answers = p.a
			default:
				if got.Survivors != got.Held {
					t.Error("connections were lost with their haproxy alive")
				}
			}
			switch fault {
			case takeover.DaemonKill:
				p.start(t, p.a)
				p.settled(t, p.a)
				answers = p.a
			case takeover.DaemonStop, takeover.Upgrade, takeover.FalseAlarm: // it goes on by itself
				p.settled(t, p.a)
				answers = p.a
			}
			p.answeredBy(t, answers, lab.VIP)
			p.serves(t, lab.VIP)
		})
	}
}

// TestKilledDaemonReturnsAsBackup is the other way for a killed daemon to come
// back: without preemption it takes the VIP off and stays behind.
func TestKilledDaemonReturnsAsBackup(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.runInTurn(t, func(h *lab.Host) string { return "haproxy: off\ninstances:\n" + instance1(h, "preempt: false\n") })
	check(t, p.sys.Kill(p.a))
	p.inState(t, p.b, lab.StateActive)
	if !p.a.HasAddr(lab.VIP) {
		t.Error("the VIP left with the killed daemon, which nothing could do")
	}
	p.answeredBy(t, p.b, lab.VIP) // the data path keeps the other host from answering
	p.start(t, p.a)
	p.settled(t, p.b)
	if p.a.HasAddr(lab.VIP) {
		t.Error("the Backup still has the VIP on eth0")
	}
	p.answeredBy(t, p.b, lab.VIP)
}

// TestNobodyIsInService holds what is promised where there is no good choice: the
// VIP stays, on one host.
func TestNobodyIsInService(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(h *lab.Host) string { return watching(h) + "instances:\n" + instance1(h, "") }

	t.Run("every haproxy is dead", func(t *testing.T) {
		p.run(t, conf)
		check(t, p.b.KillHAProxy())
		p.priority(t, p.b, 0)
		check(t, p.a.KillHAProxy())
		p.priority(t, p.a, 0)
		throughout(t, "a to keep the VIP", 500*time.Millisecond, func() bool {
			return p.instance(t, p.a, "VI_1").State == "active" && p.a.HasAddr(lab.VIP)
		})
		p.answeredBy(t, p.a, lab.VIP)
		if why := p.instance(t, p.a, "VI_1").OutOfService; !strings.Contains(why, "haproxy") {
			t.Errorf("status says %q of why the host is out of service", why)
		}

		// The first that can serve again gets it, whatever its priority, and keeps it.
		check(t, p.b.StartHAProxy(within(t)))
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		check(t, p.b.KillHAProxy())
		p.priority(t, p.b, 0)
		throughout(t, "b to keep the VIP", 500*time.Millisecond, func() bool {
			return p.instance(t, p.b, "VI_1").State == "active" && p.b.HasAddr(lab.VIP)
		})
		p.answeredBy(t, p.b, lab.VIP)
	})

	t.Run("the last host is drained", func(t *testing.T) {
		p.run(t, conf)
		check(t, p.b.KillHAProxy())
		p.priority(t, p.b, 0)
		says(t, p.asks(t, p.a, 1, "drain", "--timeout", "300ms"),
			"VI_1: "+lab.VIP.String()+" stays here: no other host took over",
			"nobody took over 1 instance within 300ms", "hafast ready")
		if !p.status(t, p.a).Drained {
			t.Error("status does not show the drain")
		}
		p.answeredBy(t, p.a, lab.VIP)
		p.serves(t, lab.VIP)
		// The drain still stands: once another host can serve, it has the VIP.
		check(t, p.b.StartHAProxy(within(t)))
		p.settled(t, p.b)
		check(t, p.sys.Ready(within(t), p.a))
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("the only host is drained", func(t *testing.T) {
		p.fresh(t, run1("haproxy: off\n"))
		p.start(t, p.a)
		p.inState(t, p.a, lab.StateActive)
		says(t, p.asks(t, p.a, 1, "drain", "--timeout", "300ms"), "stays here")
		p.answeredBy(t, p.a, lab.VIP)
	})
}
