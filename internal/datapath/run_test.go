// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"hafast/internal/link/nstest"
	"hafast/pkg/loader"
)

// interfaces are those that run the program.
func interfaces(p *Path) (names []string) {
	for _, at := range p.Attachments() {
		names = append(names, at.Interface)
	}
	slices.Sort(names)
	return names
}

func TestPrepareAttaches(t *testing.T) {
	l := newLab(t)
	first := l.begin(desiredOf(self()))
	at := first.Attachments()
	if len(at) != 1 || at[0].Interface != "eth0" || at[0].Adopted {
		t.Fatalf("attachments %+v", at)
	}
	must(t, first.Close())
	p := l.begin(desiredOf(self()))
	if at := p.Attachments(); len(at) != 1 || !at[0].Adopted {
		t.Errorf("after a restart: %+v", at)
	}
}

// An interface that is not there yet may come; the others are not to wait for it.
func TestPrepareWithoutAnInterface(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	w.Interfaces = append(w.Interfaces, "eth9")
	p := l.open()
	if err := p.Prepare(w, func(string) bool { return false }); err != nil {
		t.Fatalf("no data path at all: %v", err)
	}
	nstest.Veth(t, "eth9", "far9")
	p.SetDesired(w)
	p.Reattach()
	l.run(p, "the program is on both", func() bool { return slices.Equal(interfaces(p), []string{"eth0", "eth9"}) })
}

func TestOnlyTheLastWishCounts(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self()))
	for n := byte(2); n < 10; n++ {
		p.SetDesired(desiredOf(self(), other(n)))
	}
	l.run(p, "the last desired state is reconciled", func() bool { return flags(p, host(9)) == upRemote })
	if got := p.Targets(); len(got) != 2 {
		t.Errorf("targets %v, want two", got)
	}
}

func TestReattach(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self(), other(2))
	p := l.begin(w)
	before := p.Attachments()[0].Index
	nstest.Delete(t, "eth0")
	p.SetDesired(w)
	p.Reattach()
	l.run(p, "the loss is noted", func() bool { return p.Failures()["eth0"] != "" })

	nstest.Veth(t, "eth0", "far0")
	index := nstest.Link(t, "eth0").Attrs().Index
	if index == before {
		t.Fatal("the new interface has the old one's number")
	}
	l.routes[host(2)] = index
	p.SetDesired(w)
	p.Reattach()
	l.run(p, "the program is on the new interface", func() bool {
		at := p.Attachments()
		return len(at) == 1 && at[0].Index == index && flags(p, host(2)) == upRemote && p.Failures()["eth0"] == ""
	})
	if got := p.Targets()[place(p, host(2))].Ifindex; got != index {
		t.Errorf("flows leave by interface %d, want %d", got, index)
	}
	if !strings.Contains(l.log.String(), "no data path") {
		t.Errorf("the log says nothing of it:\n%s", l.log.String())
	}
}

// An interface that comes back with somebody else's program keeps that one, and the data
// path says that it is not there.
func TestReattachToAnOccupiedInterface(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	p := l.begin(w)
	nstest.Delete(t, "eth0")
	nstest.Veth(t, "eth0", "far0")
	stranger, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "cil_xdp_entry", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	must(t, err)
	defer stranger.Close()
	on, err := link.AttachXDP(link.XDPOptions{Program: stranger, Interface: nstest.Link(t, "eth0").Attrs().Index})
	must(t, err)
	defer on.Close()
	p.SetDesired(w)
	p.Reattach()
	l.run(p, "the failure is noted", func() bool { return strings.Contains(p.Failures()["eth0"], "Cilium") })
	if got := interfaces(p); len(got) > 0 {
		t.Errorf("the program is on %v", got)
	}
	info, err := on.Info()
	must(t, err)
	if uint32(info.Program) != nstest.Link(t, "eth0").Attrs().Xdp.ProgId {
		t.Error("the other program is gone")
	}
}

// Interfaces that are no longer wanted are left, and forgotten.
func TestInterfacesGo(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	p := l.begin(w)
	w.Interfaces = []string{"far0", "gone0"}
	p.SetDesired(w)
	l.run(p, "the program has moved", func() bool {
		return slices.Equal(interfaces(p), []string{"far0"}) && p.Failures()["gone0"] != ""
	})
	w.Interfaces = []string{"far0"}
	w.Targets = append(w.Targets, other(2))
	p.SetDesired(w)
	l.run(p, "the desired state is reconciled", func() bool { return flags(p, host(2)) == upRemote })
	if got := p.Failures(); len(got) != 0 {
		t.Errorf("failures of interfaces that nobody asks for: %v", got)
	}
}

// What goes wrong is logged once, not at every reconcile.
func TestALastingFailureIsToldOnce(t *testing.T) {
	l := newLab(t)
	l.routes[host(3)] = 0
	p := l.begin(desiredOf(self()))
	for n := byte(10); n < 15; n++ {
		p.SetDesired(desiredOf(self(), other(3), other(n)))
		l.run(p, "the desired state is reconciled", func() bool { return flags(p, host(n)) == upRemote })
	}
	if n := strings.Count(l.log.String(), "behind a router"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Idle flows are swept; a connection that is in use is not, and is counted.
func TestSweep(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self()))
	if got, ok := p.Counted(); ok {
		t.Errorf("%+v were counted by nobody", got)
	}
	busy, idle, closing := flowTo(p, host(1), 1), flowTo(p, host(1), 2), flowTo(p, host(1), 3)
	idle.Idle = limits.Established + limits.Closing
	closing.Idle, closing.Closing = 2*limits.Closing, true
	must(t, p.PutFlows([]loader.Flow{busy, idle, closing}))
	n, err := p.sweep()
	if err != nil || n != 2 || flowsTo(t, p, busy.Place) != 1 {
		t.Errorf("swept %d, %v; %d are left", n, err, flowsTo(t, p, busy.Place))
	}
	if got, _ := p.Counted(); got.FlowCounts != (loader.FlowCounts{TCP4: 1}) {
		t.Errorf("%+v counted", got)
	}
}

func TestTally(t *testing.T) {
	four, six := netip.MustParseAddrPort("10.0.1.1:80"), netip.MustParseAddrPort("[fd00::1]:80")
	var got Tally
	for _, f := range []loader.Flow{
		{Proto: loader.TCP, VIP: four},
		{Proto: loader.TCP, VIP: six},
		{Proto: loader.TCP, VIP: six},
		{Proto: loader.UDP, VIP: four},
		{Proto: loader.UDP, VIP: four},
		{Proto: loader.UDP, VIP: four},
		{Proto: loader.UDP, VIP: six},
		{Proto: loader.UDP, VIP: six},
		{Proto: loader.UDP, VIP: six},
		{Proto: loader.UDP, VIP: six},
	} {
		got.add(f)
	}
	if want := (loader.FlowCounts{TCP4: 1, TCP6: 2, UDP4: 3, UDP6: 4}); got.FlowCounts != want {
		t.Errorf("%+v, want %+v", got.FlowCounts, want)
	}
}

// However often somebody asks, flows are not visited more often than need be.
func TestCountIsRemembered(t *testing.T) {
	l := newLab(t)
	p := l.begin(desiredOf(self()))
	count := func(maxAge time.Duration) int {
		t.Helper()
		got, err := p.Count(maxAge)
		must(t, err)
		return got.TCP4
	}
	if n := count(time.Hour); n != 0 {
		t.Errorf("%d flows to begin with", n)
	}
	must(t, p.PutFlows([]loader.Flow{flowTo(p, host(1), 1)}))
	if n := count(time.Hour); n != 0 {
		t.Errorf("counted %d anew", n)
	}
	if n := count(0); n != 1 {
		t.Errorf("%d flows, want one", n)
	}
	if got, ok := p.Counted(); !ok || got.TCP4 != 1 {
		t.Errorf("%+v %t is what was counted last", got, ok)
	}
}

// A desired state that changes nothing about interfaces leaves them alone: somebody may be
// waiting for the rest of it.
func TestInterfacesAreLeftAlone(t *testing.T) {
	l := newLab(t)
	w := desiredOf(self())
	p := l.begin(w)
	p.SetDesired(desiredOf(self(), other(2)))
	l.run(p, "the desired state is reconciled", func() bool { return flags(p, host(2)) == upRemote })
	must(t, p.Detach("eth0")) // which nobody tells of
	p.SetDesired(desiredOf(self(), other(3)))
	l.run(p, "the desired state is reconciled", func() bool { return flags(p, host(3)) == upRemote })
	if got := interfaces(p); len(got) != 0 {
		t.Errorf("attached to %v once more", got)
	}
	p.SetDesired(w)
	p.Reattach()
	l.run(p, "the program is back", func() bool { return slices.Equal(interfaces(p), []string{"eth0"}) })
}
