// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"hafast/internal/config"
	"hafast/internal/link"
	"hafast/internal/link/nstest"
)

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// sysctl reads a setting of the test's namespace.
func sysctl(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func writeSysctl(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func openSysctls(t *testing.T, dir string) *link.Sysctls {
	t.Helper()
	s, err := link.NewSysctls(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSysctlsAreRestoredAfterAKill(t *testing.T) {
	nstest.Enter(t)
	// A name with a dot, as VLAN interfaces have.
	nstest.Veth(t, "eth0.7", "peer0")
	const ignore, announce = "net/ipv4/conf/eth0.7/arp_ignore", "net/ipv4/conf/eth0.7/arp_announce"
	writeSysctl(t, announce, "1")
	dir := t.TempDir()

	first := openSysctls(t, dir)
	if err := first.Apply(link.AnswerOwnOnly("eth0.7")); err != nil {
		t.Fatal(err)
	}
	if got := sysctl(t, ignore) + sysctl(t, announce); got != "12" {
		t.Errorf("arp_ignore and arp_announce are %q, want 12", got)
	}
	// The first is gone without a Restore; the second finds the settings made.
	second := openSysctls(t, dir)
	if err := second.Apply(link.AnswerOwnOnly("eth0.7")); err != nil {
		t.Fatal(err)
	}
	if err := second.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := sysctl(t, ignore) + sysctl(t, announce); got != "01" {
		t.Errorf("restored to %q, want 01", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "sysctl.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestSysctlsLeaveWhatSomebodyElseSet(t *testing.T) {
	pair(t)
	s := openSysctls(t, t.TempDir())
	if err := s.Apply(link.AnswerOwnOnly("eth0")); err != nil {
		t.Fatal(err)
	}
	writeSysctl(t, "net/ipv4/conf/eth0/arp_ignore", "2")
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := sysctl(t, "net/ipv4/conf/eth0/arp_ignore"); got != "2" {
		t.Errorf("arp_ignore is %s, want the 2 that somebody set", got)
	}
}

func TestSysctlsOfAMissingInterface(t *testing.T) {
	pair(t)
	s := openSysctls(t, t.TempDir())
	if err := s.Apply(append(link.AnswerOwnOnly("none0"), link.AnswerOwnOnly("eth0")...)); err != nil {
		t.Fatal(err)
	}
	nstest.Delete(t, "eth0")
	if err := s.Restore(); err != nil {
		t.Errorf("restore without the interface: %v", err)
	}
}

func TestSysctlsFromAnotherThread(t *testing.T) {
	pair(t)
	s := openSysctls(t, t.TempDir())
	done := make(chan error)
	go func() { done <- s.Apply(link.AnswerOwnOnly("eth0")) }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := sysctl(t, "net/ipv4/conf/eth0/arp_ignore"); got != "1" {
		t.Errorf("arp_ignore is %s, want 1", got)
	}
}

func TestSysctlsRefuseADamagedFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sysctl.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := link.NewSysctls(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestMacvlan(t *testing.T) {
	c := pair(t)
	name, mac := link.MacvlanName(false, 51), net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	if name != "vrrp4.51" || mac.String() != "00:00:5e:00:01:33" {
		t.Fatalf("%s %s", name, mac)
	}
	ensure := func(mac net.HardwareAddr) link.State {
		t.Helper()
		if err := c.EnsureMacvlan("eth0", name, mac); err != nil {
			t.Fatal(err)
		}
		s, err := c.State(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := ensure(mac)
	if first.MAC.String() != mac.String() || !first.Up || first.LinkLocal6(nil).IsValid() {
		t.Errorf("state %+v, want the virtual MAC, up, and no link-local address", first)
	}
	if again := ensure(mac); again.Index != first.Index {
		t.Error("a device left behind was not taken over")
	}
	if other := ensure(net.HardwareAddr{0, 0, 0x5e, 0, 1, 52}); other.Index == first.Index {
		t.Error("a device with another MAC was taken over")
	}
	for range 2 {
		if err := c.RemoveMacvlan(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.State(name); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("after removal: %v", err)
	}
	if err := c.EnsureMacvlan("none0", name, mac); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("without a parent: %v", err)
	}
	if err := c.EnsureMacvlan("eth0", "peer0", mac); err == nil {
		t.Error("a device of another kind was taken")
	}
}

func TestRoutes(t *testing.T) {
	c := pair(t)
	nstest.Add(t, "eth0", "10.0.0.1/24")
	nstest.Add(t, "eth0", "fd00::1/64")
	routes := []config.Route{
		{To: netip.MustParsePrefix("192.0.2.0/24"), Via: netip.MustParseAddr("10.0.0.254"), Source: netip.MustParseAddr("10.0.0.1")},
		{To: netip.MustParsePrefix("198.51.100.0/24"), Interface: "eth0", Metric: 7, Table: 100},
		{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.254")},
		{To: netip.MustParsePrefix("2001:db8::/32"), Via: netip.MustParseAddr("fd00::fe"), Interface: "eth0"},
	}
	count := func() int {
		t.Helper()
		list, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: 18}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for range 2 {
		if err := c.AddRoutes(routes); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != 4 {
			t.Errorf("%d routes, want 4", got)
		}
	}
	for range 2 {
		if err := c.RemoveRoutes(routes); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != 0 {
			t.Errorf("%d routes left", got)
		}
	}
	bad := []config.Route{{To: netip.MustParsePrefix("192.0.2.0/24"), Via: netip.MustParseAddr("203.0.113.1")}}
	if err := c.AddRoutes(bad); err == nil || !strings.Contains(err.Error(), "192.0.2.0/24") {
		t.Errorf("unreachable gateway: %v, want an error that names the route", err)
	}
}

// TestGuard proves Accept_Mode false on the wire: neighbour discovery is
// answered, pings are not.
func TestGuard(t *testing.T) {
	c := pair(t)
	peer := nstest.NewPeer(t, "peer0")
	peer.Do(func() {
		nstest.Add(t, "peer0", "10.0.0.2/24")
		nstest.Add(t, "peer0", "fd00::2/64")
	})
	if _, err := c.AddAddresses("eth0", addresses("10.0.0.1/24", "fd00::1/64", "10.0.0.9/32", "fd00::9/128")); err != nil {
		t.Fatal(err)
	}
	g, err := link.NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	// ping reports whether the address answers, and whether its MAC is known afterwards.
	ping := func(addr, seconds string) (answered, resolved bool) {
		peer.Do(func() {
			answered = exec.Command("ping", "-c1", "-w"+seconds, addr).Run() == nil
			out, err := exec.Command("ip", "neigh", "show", addr).Output()
			if err != nil {
				t.Error(err)
			}
			resolved = strings.Contains(string(out), "lladdr")
		})
		return answered, resolved
	}
	check := func(addr string, want bool) {
		t.Helper()
		seconds := "1"
		if want {
			seconds = "5" // a reply ends it sooner
		}
		answered, resolved := ping(addr, seconds)
		if answered != want || !resolved {
			t.Errorf("%s: answers ping %v, want %v; neighbour known %v, want true", addr, answered, want, resolved)
		}
	}
	set := func(addrs ...string) {
		t.Helper()
		var list []netip.Addr
		for _, a := range addrs {
			list = append(list, netip.MustParseAddr(a))
		}
		if err := g.Set(list); err != nil {
			t.Fatal(err)
		}
	}
	set() // nothing to remove
	set("10.0.0.9", "fd00::9")
	check("10.0.0.9", false)
	check("fd00::9", false)
	check("10.0.0.1", true)
	check("fd00::1", true)
	if err := exec.Command("ping", "-c1", "-W1", "10.0.0.9").Run(); err != nil {
		t.Errorf("the host itself cannot reach its VIP: %v", err)
	}
	set("10.0.0.9")
	check("10.0.0.9", false)
	check("fd00::9", true)

	thousands := make([]netip.Addr, 0, 5000)
	for a := netip.MustParseAddr("fd00:1::"); len(thousands) < cap(thousands); a = a.Next() {
		thousands = append(thousands, a)
	}
	if err := g.Set(thousands); err != nil {
		t.Errorf("5,000 addresses: %v", err)
	}
	set()
	check("10.0.0.9", true)
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil || strings.Contains(string(out), "hafast") {
		t.Errorf("tables left: %q, %v", out, err)
	}
}

func TestStateOfAMissingInterface(t *testing.T) {
	c := pair(t)
	if _, err := c.State("none0"); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	// A macvlan's name may be longer than the kernel allows elsewhere.
	if _, err := c.State(strings.Repeat("x", 40)); err == nil {
		t.Error("an impossible name was found")
	}
}

func TestPrimary4SkipsVIPs(t *testing.T) {
	s := link.State{Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.9/32"), netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("fe80::1/64"),
	}}
	vip := netip.MustParseAddr("10.0.0.9")
	got := s.Primary4(func(a netip.Addr) bool { return a == vip })
	if diff := cmp.Diff("10.0.0.1", got.String()); diff != "" {
		t.Error(diff)
	}
	if got := s.LinkLocal6(nil); got != netip.MustParseAddr("fe80::1") {
		t.Errorf("link-local %v", got)
	}
	if got := (link.State{}).Primary4(nil); got.IsValid() {
		t.Errorf("primary of nothing: %v", got)
	}
}
