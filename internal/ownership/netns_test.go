// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/internal/announce"
	"hafast/internal/config"
	"hafast/internal/eventually"
	"hafast/internal/link"
	"hafast/internal/link/nstest"
	"hafast/internal/ownership"
)

// host is an Owner on the real kernel, with a Monitor that feeds it, in a
// namespace of the test's own. Its eth0 is wired to peer0.
type host struct {
	*ownership.Owner
	conn   *link.Conn
	events chan ownership.Event
}

func newHost(t testing.TB, instances []ownership.Instance) *host {
	t.Helper()
	nstest.Enter(t)
	nstest.Veth(t, "eth0", "peer0")
	nstest.Add(t, "eth0", "10.0.0.1/16")
	h := &host{events: make(chan ownership.Event, 1000)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.conn, err = link.Open()
	must(err)
	sender, err := announce.NewSender()
	must(err)
	sysctls, err := link.NewSysctls(t.TempDir())
	must(err)
	guard, err := link.NewGuard()
	must(err)
	monitor, err := link.NewMonitor(ownership.Interfaces(instances)...)
	must(err)
	h.Owner = ownership.New(ownership.Deps{
		Addresses: h.conn, Routes: h.conn, Macvlans: h.conn, Sysctls: sysctls, Guard: guard, Announcer: sender,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	must(h.Prepare(instances))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- h.Run(ctx, func(e ownership.Event) { h.events <- e }) }()
	go func() { done <- monitor.Run(ctx, h.Changed) }()
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := h.Withdraw(); err != nil {
			t.Errorf("Withdraw: %v", err)
		}
		guard.Close()
		sysctls.Close()
		sender.Close()
		h.conn.Close()
	})
	return h
}

// wait returns the next event of a type; any Failed on the way fails the test.
func wait[E ownership.Event](t testing.TB, h *host) E {
	t.Helper()
	timeout := time.After(eventually.Patience)
	for {
		select {
		case e := <-h.events:
			switch e := e.(type) {
			case E:
				return e
			case ownership.Failed:
				t.Fatalf("%s failed: %v", e.Op, e.Err)
			}
		case <-timeout:
			var want E
			t.Fatalf("no %T", want)
		}
	}
}

func example(cidrs ...string) ownership.Instance {
	c := config.Instance{Name: "VI_1", VRID: 51, Priority: 100, Interface: "eth0", Accept: true}
	for _, s := range cidrs {
		c.VIPs = append(c.VIPs, config.VIP{Prefix: netip.MustParsePrefix(s)})
	}
	return ownership.FromConfig(c, config.Announce{Count: 1})
}

func on(t *testing.T, iface, cidr string) bool {
	t.Helper()
	return slices.Contains(nstest.Addrs(t, iface), cidr)
}

func sysctl(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// Conformance 33 and 34: a Backup is silent to ARP and NS for the VIP though it
// carries it on lo; the Active answers.
func TestOnlyTheActiveAnswers(t *testing.T) {
	h := newHost(t, []ownership.Instance{example("10.0.0.9/32", "fd00::9/128")})
	nstest.Add(t, "eth0", "fd00::1/64")
	peer := nstest.NewPeer(t, "peer0")
	peer.Do(func() {
		nstest.Add(t, "peer0", "10.0.0.2/16")
		nstest.Add(t, "peer0", "fd00::2/64")
	})
	// answers lists the VIPs that reply to a ping within so many seconds.
	answers := func(seconds string) (list []string) {
		peer.Do(func() {
			if out, err := exec.Command("ip", "neigh", "flush", "all").CombinedOutput(); err != nil {
				t.Errorf("flush: %v: %s", err, out)
			}
			for _, addr := range []string{"10.0.0.9", "fd00::9"} {
				if exec.Command("ping", "-c1", "-w"+seconds, addr).Run() == nil {
					list = append(list, addr)
				}
			}
		})
		return list
	}
	if got := answers("1"); len(got) != 0 {
		t.Errorf("a Backup answers for %v", got)
	}
	h.Acquire("VI_1", time.Now())
	wait[ownership.Acquired](t, h)
	if got := answers("5"); len(got) != 2 {
		t.Errorf("the Active answers only for %v", got)
	}
	h.Release("VI_1")
	wait[ownership.Released](t, h)
	if got := answers("1"); len(got) != 0 {
		t.Errorf("a former Active answers for %v", got)
	}
}

func TestLifeOnTheKernel(t *testing.T) {
	h := newHost(t, []ownership.Instance{example("10.0.0.9/32", "10.8.0.9/24")})
	if !on(t, "lo", "10.0.0.9/32") || !on(t, "lo", "10.8.0.9/32") {
		t.Errorf("lo carries %v", nstest.Addrs(t, "lo"))
	}
	if got := sysctl(t, "eth0/arp_ignore") + sysctl(t, "eth0/arp_announce"); got != "12" {
		t.Errorf("sysctls %s", got)
	}
	h.Acquire("VI_1", time.Now())
	wait[ownership.Acquired](t, h)
	nstest.Remove(t, "eth0", "10.0.0.9/32")
	wait[ownership.Mended](t, h)
	if !on(t, "eth0", "10.0.0.9/32") {
		t.Error("not put back")
	}
	nstest.Remove(t, "lo", "10.8.0.9/32")
	if m := wait[ownership.Mended](t, h); m.Interface != "lo" || !on(t, "lo", "10.8.0.9/32") {
		t.Errorf("%+v", m)
	}
	h.Release("VI_1")
	wait[ownership.Released](t, h)
	nstest.Add(t, "eth0", "10.0.0.9/24")
	wait[ownership.Removed](t, h)
	if got := nstest.Addrs(t, "eth0"); !slices.Equal(got, []string{"10.0.0.1/16"}) {
		t.Errorf("a Backup's eth0 carries %v", got)
	}

	nstest.Delete(t, "eth0")
	nstest.Veth(t, "eth0", "peer0")
	h.Acquire("VI_1", time.Now())
	wait[ownership.Acquired](t, h)
	if !on(t, "eth0", "10.8.0.9/24") {
		t.Errorf("the new eth0 carries %v", nstest.Addrs(t, "eth0"))
	}
	if err := h.Withdraw(); err != nil {
		t.Fatal(err)
	}
	if got := append(nstest.Addrs(t, "eth0"), nstest.Addrs(t, "lo")...); !slices.Equal(got, []string{"127.0.0.1/8", "::1/128"}) {
		t.Errorf("left behind: %v", got)
	}
}

func TestVirtualMACOnTheKernel(t *testing.T) {
	i := ownership.FromConfig(config.Instance{
		Name: "VI_1", VRID: 51, Priority: 100, Interface: "eth0", Accept: true, VirtualMAC: true,
		VIPs: []config.VIP{{Prefix: netip.MustParsePrefix("10.0.0.9/32")}},
	}, config.Announce{Count: 1})
	h := newHost(t, []ownership.Instance{i})
	peer := nstest.NewPeer(t, "peer0")
	peer.Do(func() { nstest.Add(t, "peer0", "10.0.0.2/16") })
	h.Acquire("VI_1", time.Now())
	wait[ownership.Acquired](t, h)
	peer.Do(func() {
		if out, err := exec.Command("ping", "-c1", "-w5", "10.0.0.9").CombinedOutput(); err != nil {
			t.Errorf("ping: %v: %s", err, out)
		}
		out, err := exec.Command("ip", "neigh", "show", "10.0.0.9").Output()
		if err != nil || !bytes.Contains(out, []byte("00:00:5e:00:01:33")) {
			t.Errorf("the neighbour knows %q, %v", out, err)
		}
	})
}

// BenchmarkAcquire measures a takeover on the kernel, by number of addresses.
func BenchmarkAcquire(b *testing.B) {
	for _, first := range []string{"10.0.1.1", "fd00::1"} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", first, n), func(b *testing.B) {
				var cidrs []string
				for a := netip.MustParseAddr(first); len(cidrs) < n; a = a.Next() {
					cidrs = append(cidrs, netip.PrefixFrom(a, a.BitLen()).String())
				}
				h := newHost(b, []ownership.Instance{example(cidrs...)})
				var address, announced, total []time.Duration
				for b.Loop() {
					h.Acquire("VI_1", time.Now())
					p := wait[ownership.Acquired](b, h).Phases
					address, announced, total = append(address, p.Address), append(announced, p.Announce), append(total, p.Total)
					b.StopTimer()
					h.Release("VI_1")
					wait[ownership.Released](b, h)
					b.StartTimer()
				}
				b.ReportMetric(median(address), "address-µs")
				b.ReportMetric(median(announced), "announce-µs")
				b.ReportMetric(median(total), "total-µs")
			})
		}
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds()) / 1000
}
