// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hafast/test/netns/capture"
	"hafast/test/netns/lab"
)

// vip32 is the VIP as hosts carry it.
var vip32 = netip.PrefixFrom(lab.VIP, 32)

// TestVIPs looks at the addresses from outside the daemon, as `ip` shows them and
// as neighbours see them.
func TestVIPs(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("on lo everywhere, on eth0 where Active", func(t *testing.T) {
		p.run(t, run1("haproxy: off\n"))
		for active := range slices.Values([]*lab.Host{p.a, p.b}) {
			backup := p.other(active)
			p.settled(t, active)
			eventually(t, "the VIP to be on eth0 of "+active.Name+" alone", func() bool {
				return active.HasAddr(lab.VIP) && !backup.HasAddr(lab.VIP)
			})
			for _, h := range []*lab.Host{p.a, p.b} {
				if !h.HasAddrOn("lo", lab.VIP) {
					t.Errorf("%s does not have the VIP on lo", h.Name)
				}
			}
			p.answeredBy(t, active, lab.VIP)
			if active == p.a {
				check(t, p.sys.Drain(within(t), p.a))
			}
		}
	})

	t.Run("removed by somebody", func(t *testing.T) {
		p.run(t, run1("haproxy: off\n"))
		for _, link := range []string{"eth0", "lo"} {
			seq := p.lastSeq(t, p.a)
			check(t, p.a.DelAddr(link, vip32))
			p.journalled(t, p.a, "mended", "somebody removed "+lab.VIP.String()+" from "+link, seq)
			if !p.a.HasAddrOn(link, lab.VIP) {
				t.Errorf("the VIP is not back on %s", link)
			}
		}
		check(t, p.b.DelAddr("lo", vip32))
		p.journalled(t, p.b, "mended", "from lo", 0)
		says(t, p.asks(t, p.a, 0, "events"), "from eth0; put back", "from lo; put back")
		p.answeredBy(t, p.a, lab.VIP)
		if n := p.instance(t, p.a, "VI_1").Transitions; n != 2 {
			t.Errorf("%d transitions, want the two of the start", n)
		}
	})

	t.Run("added by somebody", func(t *testing.T) {
		p.run(t, run1("haproxy: off\n"))
		check(t, p.b.AddAddr("eth0", vip32))
		p.journalled(t, p.b, "mended", "somebody added "+lab.VIP.String()+" to eth0", 0)
		if p.b.HasAddr(lab.VIP) {
			t.Error("the Backup still has the VIP on eth0")
		}
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("label", func(t *testing.T) {
		p.run(t, func(h *lab.Host) string {
			return "haproxy: off\ninstances:\n" + vi(h, "VI_1", 51, "50ms",
				[]string{fmt.Sprintf("{address: %s/24, label: \"eth0:vip\"}", lab.VIP)}, "")
		})
		out, err := p.a.Run(within(t), "ip", "-o", "address", "show", "dev", "eth0", "label", "eth0:vip")
		check(t, err)
		if !strings.Contains(out, lab.VIP.String()+"/24 ") {
			t.Errorf("ip address shows no VIP with the label: %q", out)
		}
	})

	t.Run("routes", func(t *testing.T) {
		p.run(t, func(h *lab.Host) string {
			return "haproxy: off\ninstances:\n" + instance1(h, fmt.Sprintf(
				"routes:\n  - {to: 10.99.0.0/16, via: %s, source: %s, metric: 50}\n  - {to: 10.98.0.0/16, via: %s, table: 77}\n",
				p.Web().Addr, lab.VIP, p.Web().Addr))
		})
		has := func(h *lab.Host, main, other bool) {
			t.Helper()
			eventually(t, fmt.Sprintf("%s to have the routes: %t, %t", h.Name, main, other), func() bool {
				inMain, err := h.Run(within(t), "ip", "route", "show", "10.99.0.0/16")
				check(t, err)
				all, err := h.Run(within(t), "ip", "route", "show", "table", "all")
				check(t, err)
				want := fmt.Sprintf("via %s dev eth0", p.Web().Addr)
				return (strings.Contains(inMain, want) && strings.Contains(inMain, "src "+lab.VIP.String()+" metric 50")) == main &&
					strings.Contains(all, "10.98.0.0/16 "+want+" table 77") == other
			})
		}
		has(p.a, true, true)
		has(p.b, false, false)
		check(t, p.sys.Drain(within(t), p.a))
		has(p.b, true, true)
		has(p.a, false, false)
		p.stop(t, p.b)
		has(p.b, false, false)
	})

	t.Run("link down and up", func(t *testing.T) {
		p.run(t, run1("haproxy: off\n"))
		check(t, p.a.LinkDown())
		p.inState(t, p.b, lab.StateActive)
		p.inState(t, p.a, lab.StateFault)
		if why := p.instance(t, p.a, "VI_1").Reason; why != "interface eth0 is down" {
			t.Errorf("reason of the fault: %q", why)
		}
		p.answeredBy(t, p.b, lab.VIP)
		check(t, p.a.LinkUp())
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
	})

	t.Run("interface removed and made again", func(t *testing.T) {
		p.run(t, run1("haproxy: off\n"))
		pid := p.sys.Proc(p.a).PID()
		check(t, p.a.Unplug())
		p.inState(t, p.b, lab.StateActive)
		p.inState(t, p.a, lab.StateFault)
		if why := p.instance(t, p.a, "VI_1").Reason; why != "interface eth0 does not exist" {
			t.Errorf("reason of the fault: %q", why)
		}
		check(t, p.a.Plug())
		p.settled(t, p.a)
		p.answeredBy(t, p.a, lab.VIP)
		if p.sys.Proc(p.a).PID() != pid || p.sys.Proc(p.a).Exited() {
			t.Error("this took a restart of the daemon")
		}
		// The new interface has what the old one had.
		if v, err := p.a.Sysctl("net.ipv4.conf.eth0.arp_ignore"); err != nil || v != "1" {
			t.Errorf("arp_ignore of the new interface is %s, %v", v, err)
		}
		check(t, p.sys.Drain(within(t), p.a))
		p.settled(t, p.b)
		p.answeredBy(t, p.b, lab.VIP)
	})

	t.Run("IPv6", func(t *testing.T) {
		for _, h := range []*lab.Host{p.a, p.b} {
			// The lab turns duplicate address detection off; here it is wanted.
			check(t, h.SetSysctl("net.ipv6.conf.eth0.accept_dad", "1"))
			t.Cleanup(func() { check(t, h.SetSysctl("net.ipv6.conf.eth0.accept_dad", "0")) })
		}
		p.run(t, func(h *lab.Host) string {
			return "haproxy: off\ninstances:\n" + vi(h, "VI_1", 51, "50ms", []string{fmt.Sprintf("%q", lab.VIP6)}, "")
		})
		p.answeredBy(t, p.a, lab.VIP6)
		p.serves(t, lab.VIP6)
		check(t, p.sys.Drain(within(t), p.a))
		eventually(t, "the VIP to be on b", func() bool { return p.b.HasAddr(lab.VIP6) })
		// Detection takes a second or more; an address that skips it is never tentative.
		out, err := p.b.Run(within(t), "ip", "-6", "-o", "address", "show", "dev", "eth0", "to", lab.VIP6.String())
		check(t, err)
		if strings.Contains(out, "tentative") || !strings.Contains(out, "nodad") {
			t.Errorf("right after the takeover: %s", out)
		}
		p.serves(t, lab.VIP6)
		p.answeredBy(t, p.b, lab.VIP6)
	})
}

// TestHostIsPutBack compares what a host was with what hafast leaves behind.
func TestHostIsPutBack(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	tests := []struct {
		name string
		// interrupt is done to the running daemon before it is stopped.
		interrupt func(t *testing.T)
	}{
		{name: "after SIGTERM"},
		{name: "after kill -9, start and SIGTERM", interrupt: func(t *testing.T) {
			check(t, p.sys.Kill(p.a))
			p.start(t, p.a)
			p.inState(t, p.a, lab.StateActive)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			vips := []string{lab.VIP.String(), "10.224.147.209/24", "10.8.0.208"}
			p.fresh(t, func(h *lab.Host) string {
				return "haproxy: off\ninstances:\n" + vi(h, "VI_1", 51, "50ms", vips, "") +
					vi(h, "VI_6", 51, "50ms", []string{fmt.Sprintf("%q", lab.VIP6)}, "")
			})
			// Other values than the kernel's defaults, to tell "put back" from "zeroed".
			check(t, p.a.SetSysctl("net.ipv4.conf.eth0.arp_announce", "1"))
			before := snapshot(t, p.a)
			p.start(t, p.a)
			p.inState(t, p.a, lab.StateActive)
			for key, want := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
				if got, err := p.a.Sysctl("net.ipv4.conf.eth0." + key); err != nil || got != want {
					t.Errorf("%s is %s (%v) while hafast runs, want %s", key, got, err, want)
				}
			}
			if test.interrupt != nil {
				test.interrupt(t)
			}
			p.stop(t, p.a)
			after := snapshot(t, p.a)
			for _, key := range slices.Sorted(maps.Keys(before)) {
				if before[key] != after[key] {
					t.Errorf("%s was\n%s\nand is\n%s", key, before[key], after[key])
				}
			}
			for _, path := range []string{p.sys.Socket(p.a), p.a.Path("state", "sysctl.json")} {
				if _, err := os.Lstat(path); !os.IsNotExist(err) {
					t.Errorf("%s is still there: %v", path, err)
				}
			}
		})
	}
}

// snapshot is what a daemon might change on a host.
func snapshot(t *testing.T, h *lab.Host) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, link := range []string{"all", "lo", "eth0"} {
		for _, key := range []string{"arp_ignore", "arp_announce", "arp_filter", "rp_filter", "accept_local"} {
			key = "net.ipv4.conf." + link + "." + key
			var err error
			all[key], err = h.Sysctl(key)
			check(t, err)
		}
	}
	for _, args := range [][]string{{"-o", "address"}, {"route", "show", "table", "all"}, {"-6", "route", "show", "table", "all"}, {"-br", "link"}} {
		out, err := h.Run(within(t), "ip", args...)
		check(t, err)
		lines := slices.Sorted(strings.Lines(out))
		all["ip "+strings.Join(args, " ")] = strings.Join(lines, "")
	}
	rules, err := h.Run(within(t), "ip", "rule")
	check(t, err)
	all["ip rule"] = rules
	return all
}

// TestManyVIPsMoveInOneGo moves up to a thousand VIPs of one instance, all of which
// must be answered for by the new host alone.
func TestManyVIPsMoveInOneGo(t *testing.T) {
	p := newPair(t)
	for _, n := range []int{1, 10, 100, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			addrs := make([]netip.Addr, n)
			vips := make([]string, n)
			for i := range addrs {
				addrs[i] = netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(i%250 + 1)})
				vips[i] = addrs[i].String()
			}
			p.fresh(t, func(h *lab.Host) string {
				return "haproxy: off\ninstances:\n" + vi(h, "VI_1", 51, "100ms", vips, "")
			})
			p.start(t, p.a)
			p.start(t, p.b)
			p.settled(t, p.a)
			check(t, p.sys.Drain(within(t), p.a))
			noun := "addresses"
			if n == 1 {
				noun = "address"
			}
			took := p.journalled(t, p.b, "takeover", fmt.Sprintf("%d %s in place and announced", n, noun), 0)
			var phases []string
			for _, phase := range took.Phases {
				phases = append(phases, fmt.Sprintf("%s %.0f us", phase.Name, phase.Microseconds))
			}
			t.Logf("%d VIPs: %s", n, strings.Join(phases, ", "))
			p.settled(t, p.b)
			eventually(t, "a to have given all VIPs up", func() bool {
				have, err := p.a.Addrs("eth0")
				check(t, err)
				return !slices.ContainsFunc(have, func(x netip.Prefix) bool { return slices.Contains(addrs, x.Addr()) })
			})
			for mac, count := range sweep(t, p.Client(), addrs) {
				if mac != capture.MACOf(p.b.MAC) || count != n {
					t.Errorf("%s answers for %d of %d VIPs, want %s alone for all", mac, count, n, p.b.MAC)
				}
			}
		})
	}
}

// sweep asks for all addresses by ARP, again until each has been answered for, and
// counts the addresses that each hardware address has answered for.
func sweep(t *testing.T, from *lab.Host, addrs []netip.Addr) map[capture.MAC]int {
	t.Helper()
	tap, err := capture.Open(from, lab.Interface)
	check(t, err)
	defer tap.Close()
	mac := capture.MACOf(from.MAC)
	answers := make(map[netip.Addr]map[capture.MAC]bool)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d of %d VIPs were answered for", len(answers), len(addrs))
		}
	})
	eventually(t, "answers for all VIPs", func() bool {
		for _, addr := range addrs {
			if answers[addr] == nil {
				ask := capture.ARP{Operation: arpRequest, SenderMAC: mac, SenderIP: from.Addr, TargetIP: addr}
				check(t, tap.Send(ask.Frame(capture.Broadcast(), mac)))
			}
		}
		for _, f := range tap.Since(time.Time{}) {
			if a, ok := f.ARP(); ok && a.Operation == arpReply && a.TargetIP == from.Addr {
				if answers[a.SenderIP] == nil {
					answers[a.SenderIP] = make(map[capture.MAC]bool)
				}
				answers[a.SenderIP][a.SenderMAC] = true
			}
		}
		return len(answers) == len(addrs)
	})
	count := make(map[capture.MAC]int)
	for _, macs := range answers {
		for mac := range macs {
			count[mac]++
		}
	}
	return count
}

// Operations of ARP (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)
