package wires_test

import (
	"strings"
	"testing"

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
	p.start()
	p.explained()
	if got := p.fresh(newConnections); len(got.failed) > 0 || !p.spread(got, lab.HostA) {
		t.Errorf("new connections: %v", got)
	}

	held := p.hold(heldConnections)
	check(t, p.sys.Proc(p.a).Stop(t.Context()))
	p.eventually("hab to be Active", func() bool { return p.state(p.b) == string(lab.StateActive) })
	if alive, lost := asked(held); len(lost) > 0 && !p.wire.alone {
		t.Errorf("a planned move loses %v of the held ones, and %v live", lost, alive)
	}
	if got := p.fresh(newConnections); len(got.failed) > 0 {
		t.Errorf("new connections after a planned move: %v", got)
	}

	check(t, p.sys.Start(t.Context(), p.a))
	p.settled(p.a, p.b)
	p.explained()
	held = p.hold(heldConnections)
	check(t, p.a.SilentDeath())
	p.eventually("hab to be Active", func() bool { return p.state(p.b) == string(lab.StateActive) })
	if got := p.fresh(newConnections); len(got.failed) > 0 || got.nodes[lab.HostB] != newConnections {
		t.Errorf("new connections after the Active's death: %v", got)
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

// spread reports whether both haproxies have got some, or the Active's all where the wire
// leaves no other way.
func (p *pair) spread(got tally, active string) bool {
	if p.wire.alone {
		return got.nodes[active] == newConnections
	}
	return got.nodes[lab.HostA] > 0 && got.nodes[lab.HostB] > 0
}
