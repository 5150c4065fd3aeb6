// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// TestLivenessMovesVIP has the VIP move for what S-BFD says, which the journal tells.
// Adverts are a second apart: by them a takeover takes 3.6 s, and 0.6 s after priority 0.
func TestLivenessMovesVIP(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	// moves checks that b takes over for what S-BFD says.
	moves := func(t *testing.T, why string, cause func(t *testing.T)) {
		t.Helper()
		seq := p.lastSeq(t, p.b)
		cause(t)
		p.inState(t, p.b, lab.StateActive)
		p.journalled(t, p.b, "transition", "dead or out of service", seq)
		p.journalled(t, p.b, "liveness", why, seq)
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
	}
	begin := func(t *testing.T) {
		t.Helper()
		p.run(t, single("", ""))
		p.live(t, p.a, control.StateUp)
		p.live(t, p.b, control.StateUp)
		p.seldom(t)
	}

	t.Run("the active host dies", func(t *testing.T) {
		begin(t)
		moves(t, "probes unanswered", func(t *testing.T) { check(t, p.a.SilentDeath()) })
		p.live(t, p.b, control.StateDown)
		check(t, p.a.Revive())
		p.live(t, p.a, control.StateUp)
		p.live(t, p.b, control.StateUp)
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("haproxy dies", func(t *testing.T) {
		begin(t)
		moves(t, "out of service", func(t *testing.T) { check(t, p.a.KillHAProxy()) })
		p.live(t, p.b, control.StateAdminDown)
	})

	t.Run("drain", func(t *testing.T) {
		begin(t)
		moves(t, "out of service", func(t *testing.T) { p.asks(t, p.a, 0, "drain") })
		p.live(t, p.b, control.StateAdminDown)
	})

	t.Run("nobody is in service", func(t *testing.T) {
		begin(t)
		check(t, p.b.KillHAProxy())
		p.live(t, p.a, control.StateAdminDown)
		seqA, seqB := p.lastSeq(t, p.a), p.lastSeq(t, p.b)
		check(t, p.a.KillHAProxy())
		p.live(t, p.b, control.StateAdminDown)
		p.priority(t, p.a, 0)
		throughout(t, "the VIP to stay", 700*time.Millisecond, func() bool { return p.a.HasAddr(lab.VIP) && !p.b.HasAddr(lab.VIP) })
		p.stays(t, p.a, seqA)
		p.stays(t, p.b, seqB)
		p.answeredBy(t, p.a, lab.VIP)
	})
}

// TestPeerWithoutLiveness has a host with S-BFD find out that its peer has none.
func TestPeerWithoutLiveness(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("hafast without a data path", func(t *testing.T) {
		conf := single("", "")
		p.run(t, func(h *lab.Host) string {
			if h == p.b {
				return "xdp: off\n" + conf(h)
			}
			return conf(h)
		})
		p.live(t, p.a, control.StateNone)
		p.journalled(t, p.a, "liveness", "left to adverts", 0)
		// Nobody knows what it serves: its packets stay where they arrive.
		p.holdAll(t, lab.VIP, fewHeld, p.a)
		check(t, p.a.SilentDeath())
		p.inState(t, p.b, lab.StateActive)
		check(t, p.a.Revive())
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		check(t, p.b.SilentDeath())
		p.serves(t, lab.VIP)
	})

	t.Run("keepalived", func(t *testing.T) {
		lab.SkipUnlessInstalled(t, "keepalived")
		p.fresh(t, func(h *lab.Host) string {
			return watching(h) + "instances:\n" + vi(h, "VI_1", 51, "100ms", []string{lab.VIP.String()}, "version: 3\n")
		})
		peer := &keepalivedPeer{Keepalived: lab.KeepalivedSeed(), vip: lab.VIP, conf: func(h *lab.Host) string {
			return fmt.Sprintf("vrrp_instance VI_1 {\n  interface eth0\n  version 3\n  virtual_router_id 51\n  priority %d\n  advert_int 0.1\n  virtual_ipaddress {\n    %s\n  }\n}\n",
				lab.Priority(h), lab.VIP)
		}}
		for _, h := range []*lab.Host{p.a, p.b} {
			check(t, h.StartHAProxy(within(t)))
		}
		p.start(t, p.a)
		check(t, peer.Start(within(t), p.b))
		p.inState(t, p.a, lab.StateActive)
		p.live(t, p.a, control.StateNone)
		p.answeredBy(t, p.a, lab.VIP)
		p.holdAll(t, lab.VIP, fewHeld, p.a)
		check(t, p.a.KillHAProxy())
		p.inState(t, p.a, lab.StateBackup)
		p.answeredBy(t, p.b, lab.VIP)
		check(t, p.a.StartHAProxy(within(t)))
		p.inState(t, p.a, lab.StateActive)
		p.answeredBy(t, p.a, lab.VIP)
		p.serves(t, lab.VIP)
	})
}

// TestDeafHost has a host's receive path die while it can send as before. With a
// witness it knows that it is deaf, and makes no second Active.
func TestDeafHost(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := single(fmt.Sprintf("liveness: {multiplier: 25, witness: %s}\n", p.Web().Addr), "")

	t.Run("the backup", func(t *testing.T) {
		p.run(t, conf)
		p.sharing(t)
		ofA, _ := p.holdBoth(t, lab.VIP, 1)
		seqA, seqB := p.lastSeq(t, p.a), p.lastSeq(t, p.b)
		hear := deafen(t, p.b)
		p.inState(t, p.b, lab.StateFault)
		says(t, p.instance(t, p.b, "VI_1").Reason, "nothing arrives at this host")
		// Longer than adverts would need to make it Active.
		throughout(t, "b to claim nothing", 700*time.Millisecond, func() bool { return !p.b.HasAddr(lab.VIP) })
		p.answeredBy(t, p.a, lab.VIP)
		for _, tr := range p.transitions(t, p.b, "VI_1", seqB) {
			if strings.HasSuffix(tr, "active") {
				t.Errorf("b went %s", tr)
			}
		}
		hear()
		p.settled(t, p.a)
		p.stays(t, p.a, seqA)
		p.live(t, p.b, control.StateUp)
		p.sharing(t)
		ofA.live(t, p.a.Name)
	})

	t.Run("the active host", func(t *testing.T) {
		p.run(t, conf)
		p.sharing(t)
		hear := deafen(t, p.a)
		p.inState(t, p.b, lab.StateActive)
		p.inState(t, p.a, lab.StateFault)
		eventually(t, "the deaf host to give the VIP up", func() bool { return !p.a.HasAddr(lab.VIP) })
		p.answeredBy(t, p.b, lab.VIP)
		p.serves(t, lab.VIP)
		hear()
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		p.sharing(t)
	})
}

// deafen has the switch drop all that it would send to the host, until the returned
// function is called. What the host sends goes on its way.
func deafen(t *testing.T, h *lab.Host) (hear func()) {
	t.Helper()
	const tcxDrop = 2 // enum tcx_action_base of linux/bpf.h
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "deaf", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcxDrop), asm.Return()},
	})
	check(t, err)
	defer prog.Close()
	var l link.Link
	check(t, onSwitch(h, func() error {
		port, err := net.InterfaceByName(h.Name)
		if err != nil {
			return err
		}
		l, err = link.AttachTCX(link.TCXOptions{Interface: port.Index, Program: prog, Attach: ebpf.AttachTCXEgress})
		return err
	}))
	hear = sync.OnceFunc(func() { check(t, l.Close()) })
	t.Cleanup(hear)
	return hear
}

// onSwitch runs fn on a thread in the namespace of the switch that the host is plugged
// into; that is named like the host's own.
func onSwitch(h *lab.Host, fn func() error) error {
	name := strings.TrimSuffix(h.Namespace(), h.Name) + "switch"
	f, err := os.Open(filepath.Join("/run/netns", name))
	if err != nil {
		return err
	}
	defer f.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- fn()
	}()
	return <-done
}
