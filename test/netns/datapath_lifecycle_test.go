// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// TestDataPathModes starts the daemon with and without its XDP program.
func TestDataPathModes(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("native", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		for _, h := range []*lab.Host{p.a, p.b} {
			driven(t, h)
			x := p.status(t, h).XDP
			if x.Mode != control.ModeNative || len(x.Interfaces) != 1 || x.Interfaces[0].Name != lab.Interface || x.Interfaces[0].Adopted {
				t.Errorf("%s: status says %q of the data path, and of its interfaces %+v", h.Name, x.Mode, x.Interfaces)
			}
			says(t, p.log(h), "data path attached", "interface=eth0", "mode=native")
		}
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		if n := p.counter(t, p.a, "tx_flow"); n < uint64(len(ofB)) {
			t.Errorf("%d packets were sent on to the peer", n)
		}
	})

	t.Run("generic", func(t *testing.T) {
		p.run(t, single("xdp: generic\n", ""))
		p.sharing(t)
		for _, h := range []*lab.Host{p.a, p.b} {
			if got := programOn(t, h); got.id == 0 || got.mode != nl.XDP_ATTACHED_SKB {
				t.Errorf("%s: eth0 has program %d in mode %d, want one in generic mode", h.Name, got.id, got.mode)
			}
			if x := p.status(t, h).XDP; x.Mode != control.ModeGeneric || x.Reason != "as configured" {
				t.Errorf("%s: status says %q of the data path, for %q", h.Name, x.Mode, x.Reason)
			}
		}
		load := p.traffic(t, lab.VIP)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		check(t, p.sys.Drain(within(t), p.a))
		p.settled(t, p.b)
		load.unharmed(t)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		if n := p.counter(t, p.b, "tx_flow") + p.counter(t, p.b, "tx_second_chance"); n < uint64(len(ofA)) {
			t.Errorf("%d packets were sent on to the peer", n)
		}
	})

	t.Run("off", func(t *testing.T) {
		p.run(t, single("xdp: off\n", ""))
		for _, h := range []*lab.Host{p.a, p.b} {
			if got := programOn(t, h); got.id != 0 || p.pinned(t, h) {
				t.Errorf("%s: eth0 has program %d, pinned: %t", h.Name, got.id, p.pinned(t, h))
			}
			if x := p.status(t, h).XDP; x.Mode != control.ModeOff || !strings.Contains(x.Reason, "xdp: off") {
				t.Errorf("%s: status says %q of the data path, for %q", h.Name, x.Mode, x.Reason)
			}
			says(t, p.asks(t, h, 1, "flows"), "the data path is off")
		}
		p.holdAll(t, lab.VIP, fewHeld, p.a)
		check(t, p.a.KillHAProxy())
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
	})

	t.Run("somebody else's program is on the interface", func(t *testing.T) {
		p.fresh(t, single("", ""))
		theirs := attachTheirs(t, p.a)
		for _, h := range []*lab.Host{p.a, p.b} {
			check(t, h.StartHAProxy(within(t)))
			p.start(t, h)
		}
		p.settled(t, p.a)
		words := []string{"theirs", fmt.Sprint(theirs.id)}
		if x := p.status(t, p.a).XDP; x.Mode != control.ModeOff {
			t.Errorf("status says %q of the data path", x.Mode)
		} else {
			says(t, x.Reason, words...)
		}
		says(t, p.log(p.a), append(words, "plain VRRP")...)
		says(t, p.exits(t, p.a, 1, "check", "--config", p.sys.ConfigPath(p.a)), words...)
		if p.pinned(t, p.a) {
			t.Error("the daemon has left pins of a data path that it does not have")
		}
		// The peer, which has one, finds out, and the VIP moves by adverts.
		p.live(t, p.b, control.StateNone)
		p.answeredBy(t, p.a, lab.VIP)
		p.holdAll(t, lab.VIP, fewHeld, p.a)
		check(t, p.a.KillHAProxy())
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		p.stop(t, p.a)
		if got := programOn(t, p.a); got != theirs {
			t.Errorf("eth0 has program %v, want theirs: %v", got, theirs)
		}
	})

	t.Run("the interface is made anew", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		before := driven(t, p.a)
		check(t, p.a.Unplug())
		p.inState(t, p.a, lab.StateFault)
		p.inState(t, p.b, lab.StateActive)
		check(t, p.a.Plug())
		p.settled(t, p.a)
		eventually(t, "the program to be back", func() bool { return programOn(t, p.a).id != 0 })
		if now := driven(t, p.a); now != before {
			t.Errorf("eth0 had program %v and has %v", before, now)
		}
		if x := p.status(t, p.a).XDP; x.Mode != control.ModeNative || len(x.Interfaces) != 1 {
			t.Errorf("status says %q of the data path, and of its interfaces %+v", x.Mode, x.Interfaces)
		}
		p.answeredBy(t, p.a, lab.VIP)
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})
}

// attachTheirs puts a program on eth0 that is not hafast's and passes everything.
func attachTheirs(t *testing.T, h *lab.Host) xdpProgram {
	t.Helper()
	const xdpPass = 2
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "theirs", Type: ebpf.XDP, License: "GPL", Flags: unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	check(t, err)
	defer prog.Close()
	check(t, h.Do(func() error {
		link, err := netlink.LinkByName(lab.Interface)
		if err != nil {
			return err
		}
		// Held by the interface; Host.Reset takes it off.
		return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), nl.XDP_FLAGS_DRV_MODE)
	}))
	return driven(t, h)
}

// TestDataPathOutlivesDaemon ends the daemon in every way that there is, and looks at
// what it leaves behind.
func TestDataPathOutlivesDaemon(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	// gone checks that a stopped daemon has left no program, no pins, and no VIP on
	// eth0; on lo it is to be, or not.
	gone := func(t *testing.T, h *lab.Host, onLo bool) {
		t.Helper()
		if got := programOn(t, h); got.id != 0 || p.pinned(t, h) {
			t.Errorf("%s: eth0 has program %d, pinned: %t", h.Name, got.id, p.pinned(t, h))
		}
		if on, lo := h.HasAddr(lab.VIP), h.HasAddrOn("lo", lab.VIP); on || lo != onLo {
			t.Errorf("%s: the VIP is on eth0: %t, on lo: %t, want %t there", h.Name, on, lo, onLo)
		}
	}
	// adopted waits until the new daemon of a serves as the old one did, and checks
	// that the program has been replaced in place.
	adopted := func(t *testing.T, before xdpProgram) {
		t.Helper()
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		if now := driven(t, p.a); now.id == before.id {
			t.Errorf("eth0 still has the old daemon's program %d", before.id)
		}
		x := p.status(t, p.a).XDP
		if len(x.Interfaces) != 1 || !x.Interfaces[0].Adopted || x.Mode != control.ModeNative {
			t.Errorf("status says %q of the data path, and of its interfaces %+v", x.Mode, x.Interfaces)
		}
		p.sharing(t)
	}

	t.Run("SIGTERM without connections", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		p.stop(t, p.a)
		gone(t, p.a, false)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		p.stop(t, p.b)
		gone(t, p.b, false)
	})

	t.Run("SIGTERM with connections", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		load := p.traffic(t, lab.VIP)
		p.stop(t, p.a)
		gone(t, p.a, true)
		p.answeredBy(t, p.b, lab.VIP)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		// Nobody brings new ones to a host without a daemon.
		p.targetState(t, p.b, lab.HostA, "drain")
		p.holdAll(t, lab.VIP, fewHeld, p.b)
		// It comes back for them.
		p.start(t, p.a)
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		p.sharing(t)
		load.unharmed(t)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
		ofA.close()
		p.stop(t, p.a)
		gone(t, p.a, false)
		ofB.live(t, p.b.Name)
	})

	t.Run("kill -9 and a new start", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		before := driven(t, p.a)
		check(t, p.sys.Kill(p.a))
		if now := programOn(t, p.a); now != before || !p.pinned(t, p.a) {
			t.Errorf("eth0 had program %v and has %v; pinned: %t", before, now, p.pinned(t, p.a))
		}
		p.inState(t, p.b, lab.StateActive)
		p.start(t, p.a)
		adopted(t, before)
		p.flowsOf(t, p.a, lab.HostA, ofA)
		p.flowsOf(t, p.a, lab.HostB, ofB)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("upgrade", func(t *testing.T) {
		p.run(t, single("", ""))
		p.often(t)
		p.sharing(t)
		load := p.traffic(t, lab.VIP)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		before := driven(t, p.a)
		seq := p.lastSeq(t, p.b)
		end := p.neverTwo(t, lab.VIP)
		check(t, p.sys.Upgrade(within(t), p.a))
		adopted(t, before)
		end()
		p.stays(t, p.b, seq)
		p.journalled(t, p.a, "transition", "resumed in the place of its predecessor", 0)
		p.flowsOf(t, p.a, lab.HostA, ofA)
		p.flowsOf(t, p.a, lab.HostB, ofB)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)

		// The Backup is upgraded as quietly.
		before, seq = driven(t, p.b), p.lastSeq(t, p.a)
		check(t, p.sys.Upgrade(within(t), p.b))
		p.settled(t, p.a)
		p.sharing(t)
		if now := driven(t, p.b); now.id == before.id {
			t.Errorf("eth0 still has the old daemon's program %d", before.id)
		}
		p.stays(t, p.a, seq)
		load.unharmed(t)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	// Until the checks have answered, the new daemon tells its peer nothing, and hears
	// nothing of it.
	t.Run("upgrade with a check that takes its time", func(t *testing.T) {
		p.run(t, single("scripts: [{name: slow, command: sleep 0.7, interval: 2s}]\n", "track: {scripts: [slow]}\n"))
		p.sharing(t)
		load := p.traffic(t, lab.VIP)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		before := driven(t, p.a)
		check(t, p.sys.Upgrade(within(t), p.a))
		throughout(t, "the connections of b to go on", 1500*time.Millisecond, func() bool {
			ofB.live(t, p.b.Name)
			return !t.Failed()
		})
		adopted(t, before)
		p.journalled(t, p.a, "transition", "resumed in the place of its predecessor", 0)
		load.unharmed(t)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})

	t.Run("an upgrade that nobody follows up", func(t *testing.T) {
		p.run(t, single("", ""))
		p.sharing(t)
		ofA, ofB := p.holdBoth(t, lab.VIP, fewHeld)
		check(t, p.sys.Signal(p.a, unix.SIGUSR2))
		<-p.sys.Proc(p.a).Done()
		check(t, p.sys.Proc(p.a).Err())
		if !p.pinned(t, p.a) || !p.a.HasAddr(lab.VIP) {
			t.Error("the daemon has not left everything as it was")
		}
		// The peer takes over when the lease is up.
		p.inState(t, p.b, lab.StateActive)
		p.answeredBy(t, p.b, lab.VIP)
		ofA.live(t, p.a.Name)
		ofB.live(t, p.b.Name)
	})
}

// flowsOf waits until `hafast flows` of the host has all of the connections at the
// node.
func (p *pair) flowsOf(t *testing.T, h *lab.Host, node string, conns held) {
	t.Helper()
	eventually(t, fmt.Sprintf("the flows of %s to be in the table of %s", node, h.Name), func() bool {
		var found []string
		for f, err := range p.client(h).Flows(t.Context(), 0) {
			check(t, err)
			if f.Target == node && f.Proto == "tcp" {
				found = append(found, f.Client)
			}
		}
		return !slices.ContainsFunc(conns, func(c net.Conn) bool { return !slices.Contains(found, c.LocalAddr().String()) })
	})
}
