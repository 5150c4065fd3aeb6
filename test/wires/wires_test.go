// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"strings"
	"testing"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// Connections of a test: so many new ones that both haproxies get some, but for once in
// 2^40 runs.
const (
	newConnections  = 80
	heldConnections = 40
)

func TestWires(t *testing.T) {
	for _, w := range wires() {
		t.Run(w.name, func(t *testing.T) { newPair(t, w).proves() })
	}
}

// proves goes through a pair's life on the wire: new connections, a planned move, the death
// of the other host.
func (p *pair) proves() {
	t := p.t
	t.Helper()
	p.serve()
	p.compare()
	p.elect()
	p.explained()
	p.fits()
	for _, n := range p.wire.networks {
		if got := p.fresh(n.vip, newConnections); p.fails(n, got) || !p.spread(got, lab.HostA) {
			t.Errorf("new connections to %s: %v", n.vip, got)
		}
	}

	held := p.hold(heldConnections)
	check(t, p.sys.Proc(p.a).Stop(t.Context()))
	p.eventually("hab to be Active", func() bool { return p.state(p.b) == string(lab.StateActive) })
	if alive, lost := asked(held); len(lost) > 0 && !p.wire.alone {
		t.Errorf("a planned move loses %v of the held ones, and %v live", lost, alive)
	}
	for _, n := range p.wire.networks {
		if got := p.fresh(n.vip, newConnections); p.fails(n, got) {
			t.Errorf("new connections to %s after a planned move: %v", n.vip, got)
		}
	}

	check(t, p.sys.Start(t.Context(), p.a))
	p.settled(p.a, p.b)
	p.explained()
	held = p.hold(heldConnections)
	p.dies(p.a)
	p.eventually("hab to be Active", func() bool { return p.state(p.b) == string(lab.StateActive) })
	// Adverts and probes each take their time to miss the dead host. In the meantime new flows
	// may still be sent there, and wait for a SYN that is sent again.
	p.shared(p.b, lab.HostB)
	for _, n := range p.wire.networks {
		if got := p.fresh(n.vip, newConnections); p.fails(n, got) || got.nodes[lab.HostA] > 0 {
			t.Errorf("new connections to %s after the Active's death: %v", n.vip, got)
		}
	}
	var survivors []*conn
	for _, c := range held {
		if c.node == lab.HostB {
			survivors = append(survivors, c)
		}
	}
	if alive, lost := asked(survivors); len(lost) > 0 {
		t.Errorf("of the survivor's connections %v are lost, and %v live", lost, alive)
	}
}

// dies cuts a host off from the others. Where the switch is the lab's, the host itself
// notices nothing but silence. The wire of a guest's own interfaces is out of the guest's
// reach: there the host loses its link.
func (p *pair) dies(h *lab.Host) {
	p.t.Helper()
	if nic := p.nics[h]; nic != "" {
		p.byHand(h, "ip link set %s down", nic)
		return
	}
	check(p.t, h.SilentDeath())
}

// explained waits until each host knows whether its frames arrive at the other, and checks
// that status says so.
func (p *pair) explained() {
	p.t.Helper()
	if !p.wire.alone {
		p.shared(p.a, lab.HostA, lab.HostB)
		p.shared(p.b, lab.HostA, lab.HostB)
		return
	}
	for _, h := range []*lab.Host{p.a, p.b} {
		p.decided(h, "lost")
		p.shared(h, h.Name)
		if why := p.peer(h).LegReason; !strings.Contains(why, "does not arrive there") {
			p.t.Errorf("%s says of its leg: %q", h.Name, why)
		}
	}
}

// fits checks that the program runs on the hosts in the wire's mode, and that what is no
// network card in full is generic with a reason: in status, in the log and by check.
func (p *pair) fits() {
	p.t.Helper()
	for _, h := range []*lab.Host{p.a, p.b} {
		for _, at := range p.status(h).XDP.Interfaces {
			p.t.Logf("%s: %s is %s: %s", h.Name, at.Name, at.Mode, at.Reason)
			if p.wire.mode == "" {
				continue
			}
			if at.Mode != p.wire.mode || !strings.Contains(at.Reason, p.wire.reason) {
				p.t.Errorf("%s is %s on %s: %q; want %s: %q", at.Name, at.Mode, h.Name, at.Reason, p.wire.mode, p.wire.reason)
			}
			if at.Mode == control.ModeGeneric {
				p.saysGeneric(h, at)
			}
		}
	}
}

// saysGeneric checks that the log and 'hafast check' have what status has.
func (p *pair) saysGeneric(h *lab.Host, at control.XDPInterface) {
	p.t.Helper()
	out, err := h.Run(p.t.Context(), p.sys.Binary, "check", "--config", p.sys.ConfigPath(h))
	if err != nil {
		p.t.Errorf("hafast check on %s: %v", h.Name, err)
	}
	for where, text := range map[string]string{"the log": p.sys.Proc(h).Log(), "check": out} {
		if !strings.Contains(text, p.wire.reason) || !strings.Contains(text, control.ModeGeneric) {
			p.t.Errorf("%s of %s does not say that %s is generic because it %s:\n%s", where, h.Name, at.Name, p.wire.reason, text)
		}
	}
}

// spread reports whether both haproxies have got some, or the Active's all where the wire
// leaves no other way.
func (p *pair) spread(got tally, active string) bool {
	if p.wire.alone {
		return len(got.nodes) == 1 && got.nodes[active] > 0
	}
	return got.nodes[lab.HostA] > 0 && got.nodes[lab.HostB] > 0
}
