// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	xdplink "github.com/cilium/ebpf/link"

	"hafast/internal/control"
	"hafast/internal/link/nstest"
	"hafast/pkg/loader"
)

// occupy puts a program of somebody else's on an interface.
func occupy(t *testing.T, device string) (id ebpf.ProgramID) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "xdp_dispatcher", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	must(t, err)
	l, err := xdplink.AttachXDP(xdplink.XDPOptions{Program: program, Interface: nstest.Link(t, device).Attrs().Index})
	must(t, err)
	t.Cleanup(func() { _, _ = l.Close(), program.Close() })
	info, err := program.Info()
	must(t, err)
	id, _ = info.ID()
	return id
}

// TestFallback: who finds another program on its interface is a plain VRRP daemon, leaves
// that program alone, and says so where people and alerts look.
func TestFallback(t *testing.T) {
	k := newKilled(t)
	must(t, loader.RemovePinned(k.cfg.BPFDir))
	stranger := occupy(t, "eth0")
	h := k.start()
	if h.fleet != nil {
		t.Fatal("there is a data path")
	}
	status := h.noFleet
	if status.Mode != control.ModeOff || !status.Fallback || status.Remedy == "" || !strings.Contains(status.Reason, "xdp_dispatcher") {
		t.Errorf("status: %+v", status)
	}
	if log := k.log.String(); !strings.Contains(log, `level=WARN msg="no data path: this is a plain VRRP daemon`) ||
		!strings.Contains(log, "remedy=") || !strings.Contains(log, "xdp_dispatcher") {
		t.Errorf("log:\n%s", log)
	}
	if got := fallbackGauge(t, h); got != 1 {
		t.Errorf("hafast_xdp_fallback is %v", got)
	}
	if xdp := nstest.Link(t, "eth0").Attrs().Xdp; xdp == nil || ebpf.ProgramID(xdp.ProgId) != stranger {
		t.Errorf("eth0 runs %+v, not program %d", xdp, stranger)
	}
	if k.answers() {
		t.Error("the VIP that was left on eth0 is still there")
	}
}

// TestOffIsNoFallback: what was asked for is nothing to warn of.
func TestOffIsNoFallback(t *testing.T) {
	k := newKilled(t)
	k.cfg.XDP = "off"
	h := k.start()
	if h.noFleet.Fallback || h.noFleet.Reason == "" || fallbackGauge(t, h) != 0 || strings.Contains(k.log.String(), "level=WARN") {
		t.Errorf("status %+v, gauge %v, log:\n%s", h.noFleet, fallbackGauge(t, h), k.log.String())
	}
}

func fallbackGauge(t *testing.T, h *host) float64 {
	t.Helper()
	families, err := h.metrics.Registry().Gather()
	must(t, err)
	for _, family := range families {
		if family.GetName() == "hafast_xdp_fallback" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no hafast_xdp_fallback")
	return 0
}
