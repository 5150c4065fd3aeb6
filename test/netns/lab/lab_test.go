// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/test/netns/lab"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestHostsReachEachOther(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	a, b := l.Pair()
	for _, address := range []netip.Addr{l.Web().Addr, l.Web().Addr6} {
		conn, err := l.Client().Dial(within(t, time.Second), "tcp", netip.AddrPortFrom(address, 80).String())
		if err != nil {
			t.Fatalf("client to nginx: %v", err)
		}
		conn.Close()
	}
	for _, h := range []*lab.Host{a, b} {
		for _, addr := range []netip.Addr{h.Addr, h.Addr6} {
			macs, err := l.Client().Responders(t.Context(), addr, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if len(macs) != 1 || !slices.Equal(macs[0], h.MAC) {
				t.Errorf("%v answered for %s, want %v alone", macs, addr, h.MAC)
			}
		}
	}
	if macs := l.Client().ARP(lab.VIP); len(macs) != 0 {
		t.Errorf("%v answered for the VIP that nobody holds", macs)
	}
}

func TestRespondersSeesEveryClaimant(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	a, b := l.Pair()
	for _, vip := range []netip.Addr{lab.VIP, lab.VIP6} {
		for _, h := range []*lab.Host{a, b} {
			if err := h.AddAddr(lab.Interface, netip.PrefixFrom(vip, vip.BitLen())); err != nil {
				t.Fatal(err)
			}
		}
		macs, err := l.Client().Responders(t.Context(), vip, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		want := []net.HardwareAddr{a.MAC, b.MAC}
		if !slices.EqualFunc(macs, want, func(x, y net.HardwareAddr) bool { return slices.Equal(x, y) }) {
			t.Errorf("%v answered for %s, want %v", macs, vip, want)
		}
	}
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	if a.HasAddr(lab.VIP) || a.HasAddr(lab.VIP6) || !a.HasAddr(a.Addr) || !a.HasAddr(a.Addr6) {
		t.Error("reset did not leave exactly the host's own addresses")
	}
}

func TestSilentDeathKeepsTheCarrier(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	a, _ := l.Pair()
	if err := a.SilentDeath(); err != nil {
		t.Fatal(err)
	}
	if macs := l.Client().ARP(a.Addr); len(macs) != 0 {
		t.Errorf("a dead host answered: %v", macs)
	}
	carrier := ""
	if err := a.Do(func() error {
		b, err := a.Run(t.Context(), "ip", "-o", "link", "show", lab.Interface)
		carrier = b
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(carrier, "LOWER_UP") {
		t.Errorf("the carrier is gone: %s", carrier)
	}
	if err := a.Revive(); err != nil {
		t.Fatal(err)
	}
	if macs := l.Client().ARP(a.Addr); len(macs) != 1 {
		t.Errorf("%d hosts answered for a revived one, want 1", len(macs))
	}
}

func TestLinkDownAndUp(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	a, _ := l.Pair()
	if err := a.LinkDown(); err != nil {
		t.Fatal(err)
	}
	if macs := l.Client().ARP(a.Addr); len(macs) != 0 {
		t.Errorf("%v answered over a link that is down", macs)
	}
	if err := a.LinkUp(); err != nil {
		t.Fatal(err)
	}
	if !a.HasAddr(a.Addr6) {
		t.Error("the IPv6 address did not come back")
	}
	if err := lab.Eventually(within(t, 2*time.Second), "the host to answer", func() bool {
		return len(l.Client().ARP(a.Addr)) == 1
	}); err != nil {
		t.Error(err)
	}
}

func TestHAProxyKillAndReload(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	a, _ := l.Pair()
	ctx := within(t, 10*time.Second)
	if err := a.KillHAProxy(); !errors.Is(err, lab.ErrNoHAProxy) {
		t.Errorf("killing no haproxy: %v, want %v", err, lab.ErrNoHAProxy)
	}
	if err := a.StartHAProxy(ctx); err != nil {
		t.Fatal(err)
	}
	first := a.HAProxy()
	if err := a.ReloadHAProxy(ctx); err != nil {
		t.Fatal(err)
	}
	second := a.HAProxy()
	if first.PID() == second.PID() {
		t.Fatal("reload kept the process")
	}
	select {
	case <-first.Done():
	case <-ctx.Done():
		t.Error("the old haproxy did not finish")
	}
	if err := a.KillHAProxy(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(second.PID(), 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("after the kill, signal 0 says %v", err)
	}
}

func TestDoPassesPanicsOn(t *testing.T) {
	l := lab.ForTest(t, lab.Options{})
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = l.Client().Do(func() error { panic("boom") })
	t.Error("the panic got lost")
}

func TestCloseLeavesNothing(t *testing.T) {
	lab.SkipUnlessRoot(t)
	l, err := lab.New(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := l.Pair()
	if err := a.StartHAProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	sleeper, err := b.Start("sleeper", "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	haproxy := a.HAProxy()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !haproxy.Exited() || !sleeper.Exited() {
		t.Error("a process outlived the lab")
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", l.Dir)
	}
	left, err := filepath.Glob("/run/netns/" + filepath.Base(l.Dir) + "*")
	if err != nil || len(left) != 0 {
		t.Errorf("namespaces left: %v, %v", left, err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
