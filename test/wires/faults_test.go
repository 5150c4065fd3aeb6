// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"slices"
	"strings"
	"testing"

	"hafast/test/netns/lab"
)

// card is a wire that stands for network cards, with the program in the driver.
func card() wire { return wire{name: "card", config: "xdp: native\n"} }

// kept checks that new connections are all answered, by the Active.
func (p *pair) kept(when string) {
	p.t.Helper()
	if got := p.fresh(lab.VIP, newConnections); len(got.failed) > 0 || got.nodes[lab.HostA] != newConnections {
		p.t.Errorf("%s: %v", when, got)
	}
}

// back checks that both haproxies get new connections again.
func (p *pair) back() {
	p.t.Helper()
	p.shared(p.a, lab.HostA, lab.HostB)
	if got := p.fresh(lab.VIP, newConnections); len(got.failed) > 0 || got.nodes[lab.HostB] == 0 {
		p.t.Errorf("the wire is whole again: %v", got)
	}
}

// TestFarEndLosesItsProgram: whoever manages the other end of a veth takes the program off
// that makes it take what the driver sends. New flows stay until it is there again.
func TestFarEndLosesItsProgram(t *testing.T) {
	p := newPair(t, card())
	p.start()
	p.shared(p.a, lab.HostA, lab.HostB)
	check(t, p.a.StripPort())
	p.decided(p.a, "lost")
	// haa's program cannot answer hab's probes either: hab takes over until it has heard
	// enough of haa's adverts.
	p.eventually("hab to leave haa to its adverts", func() bool {
		sessions := p.status(p.b).Liveness
		return len(sessions) == 1 && sessions[0].State == "none"
	})
	p.settled(p.a, p.b)
	p.kept("without a program at the far end")
	if leg := p.peer(p.b).Leg; leg != "proved" {
		t.Errorf("the other way is %s", leg)
	}
	check(t, p.a.DressPort())
	p.back()
}

// TestPortSecurity: a switch that drops what has a source address that is not the host's
// own lets S-BFD pass, and the Active's own answers, but no client's packets.
func TestPortSecurity(t *testing.T) {
	p := newPair(t, card())
	check(t, p.a.SecurePort(p.a.Addr, lab.VIP))
	p.start()
	p.decided(p.a, "lost")
	p.decided(p.b, "proved")
	p.kept("with a switch that drops foreign sources")
	out, err := p.a.Command(t.Context(), p.sys.Binary, "check", "--config", p.sys.ConfigPath(p.a)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "new flows do not go to "+p.addr(p.b).String()) {
		t.Errorf("hafast check ends with %v and says\n%s", err, out)
	}
	check(t, p.a.DressPort())
	p.back()
}

// TestOneWayLink: what the Active sends to the Backup alone is lost. The two hear different
// things of each other; exactly one is Active all the same, and nothing is sent into the
// void.
func TestOneWayLink(t *testing.T) {
	p := newPair(t, card())
	p.start()
	p.shared(p.a, lab.HostA, lab.HostB)
	check(t, p.a.CutTowards(p.b))
	p.decided(p.a, "lost")
	p.eventually("one host alone to be Active", func() bool {
		states := []string{p.state(p.a), p.state(p.b)}
		slices.Sort(states)
		return slices.Equal(states, []string{string(lab.StateActive), string(lab.StateBackup)})
	})
	if got := p.fresh(lab.VIP, newConnections); len(got.failed) > 0 {
		t.Errorf("over a one-way link: %v", got)
	}
	check(t, p.a.DressPort())
	p.settled(p.a, p.b)
	p.back()
}
