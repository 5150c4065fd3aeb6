// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/internal/link"
	"hafast/internal/link/nstest"
)

func addRoute(t *testing.T, r netlink.Route) {
	t.Helper()
	if err := netlink.RouteAdd(&r); err != nil {
		t.Fatalf("add route %v: %v", r, err)
	}
}

func ipNet(t *testing.T, cidr string) *net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// isLocal reports whether the kernel takes an IPv6 address for the host's own: it
// writes the route that says so some time after the address is added.
func isLocal(t *testing.T, addr string) bool {
	t.Helper()
	filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Dst: ipNet(t, addr+"/128")}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_DST)
	if err != nil {
		t.Fatal(err)
	}
	return len(routes) > 0
}

func TestOnLink(t *testing.T) {
	c := pair(t)
	nstest.Add(t, "eth0", "10.0.0.1/24")
	nstest.Add(t, "eth0", "fd00::1/64")
	nstest.Veth(t, "eth1", "peer1")
	nstest.Add(t, "eth1", "10.1.0.1/24")
	eth0, eth1 := nstest.Link(t, "eth0").Attrs().Index, nstest.Link(t, "eth1").Attrs().Index
	addRoute(t, netlink.Route{Dst: ipNet(t, "0.0.0.0/0"), Gw: net.ParseIP("10.0.0.254"), LinkIndex: eth0})
	addRoute(t, netlink.Route{Dst: ipNet(t, "fd02::/64"), Gw: net.ParseIP("fd00::fe"), LinkIndex: eth0})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.3.0.0/24"), LinkIndex: eth1, Scope: netlink.SCOPE_LINK})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.4.0.0/24"), LinkIndex: eth0, Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fd00::fe")}})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.5.0.0/24"), Type: unix.RTN_UNREACHABLE})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.6.0.0/24"), Type: unix.RTN_BLACKHOLE})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.7.0.0/24"), Type: unix.RTN_PROHIBIT})
	addRoute(t, netlink.Route{Dst: ipNet(t, "fd05::/64"), Type: unix.RTN_UNREACHABLE})
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.8.0.0/24"), MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: eth0, Gw: net.ParseIP("10.0.0.254")}, {LinkIndex: eth1, Gw: net.ParseIP("10.1.0.254")},
	}})

	eventually.True(t, "the host's own route to fd00::1", func() bool { return isLocal(t, "fd00::1") })

	for _, test := range []struct {
		name, addr string
		want       int // 0: not on link
	}{
		{"neighbour", "10.0.0.2", eth0},
		{"neighbour, mapped", "::ffff:10.0.0.2", eth0},
		{"neighbour on another interface", "10.1.0.2", eth1},
		{"route without gateway", "10.3.0.2", eth1},
		{"IPv6 neighbour", "fd00::2", eth0},
		{"link-local by name", "fe80::2%eth1", eth1},
		{"behind the default gateway", "192.0.2.1", 0},
		{"behind an IPv6 gateway", "fd02::1", 0},
		{"behind a gateway of the other family", "10.4.0.1", 0},
		{"behind either gateway", "10.8.0.1", 0},
		{"unreachable", "10.5.0.1", 0},
		{"blackhole", "10.6.0.1", 0},
		{"prohibited", "10.7.0.1", 0},
		{"unreachable IPv6", "fd05::1", 0},
		{"no IPv6 route", "2001:db8::1", 0},
		{"this host", "10.0.0.1", 0},
		{"this host, IPv6", "fd00::1", 0},
		{"loopback", "127.0.0.1", 0},
		{"broadcast", "10.0.0.255", 0},
		{"multicast", "224.0.0.18", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			index, ok, err := c.OnLink(netip.MustParseAddr(test.addr))
			if err != nil {
				t.Fatal(err)
			}
			if index != test.want || ok != (test.want != 0) {
				t.Errorf("%s: interface %d, %t; want %d", test.addr, index, ok, test.want)
			}
		})
	}
	if _, _, err := c.OnLink(netip.MustParseAddr("fe80::2%none")); !errors.Is(err, link.ErrNotFound) {
		t.Errorf("zone that is not there: %v", err)
	}
	if _, _, err := c.OnLink(netip.Addr{}); err == nil {
		t.Error("the zero address has a route")
	}
}

func TestDefaultGateway(t *testing.T) {
	c := pair(t)
	nstest.Add(t, "eth0", "10.0.0.1/24")
	nstest.Veth(t, "eth1", "peer1")
	nstest.Add(t, "eth1", "10.1.0.1/24")
	eth0, eth1 := nstest.Link(t, "eth0").Attrs().Index, nstest.Link(t, "eth1").Attrs().Index

	want := func(when string, ifindex int, gateway string) {
		t.Helper()
		got, err := c.DefaultGateway(ifindex)
		if err != nil {
			t.Fatal(err)
		}
		var addr netip.Addr
		if gateway != "" {
			addr = netip.MustParseAddr(gateway)
		}
		if got != addr {
			t.Errorf("%s: gateway %v, want %v", when, got, addr)
		}
	}
	all := ipNet(t, "0.0.0.0/0")
	want("no default route", eth0, "")
	addRoute(t, netlink.Route{Dst: all, LinkIndex: eth1, Scope: netlink.SCOPE_LINK, Priority: 7})
	want("default route without gateway", eth1, "")
	addRoute(t, netlink.Route{Dst: ipNet(t, "10.9.0.0/16"), LinkIndex: eth0, Gw: net.ParseIP("10.0.0.9")})
	want("gateway of another route", eth0, "")
	addRoute(t, netlink.Route{Dst: all, LinkIndex: eth0, Gw: net.ParseIP("10.0.0.3"), Table: 100})
	want("policy routing", eth0, "10.0.0.3")
	addRoute(t, netlink.Route{Dst: all, LinkIndex: eth0, Gw: net.ParseIP("10.0.0.2"), Priority: 200})
	want("main table", eth0, "10.0.0.2")
	addRoute(t, netlink.Route{Dst: all, LinkIndex: eth0, Gw: net.ParseIP("10.0.0.254"), Priority: 100})
	want("lower metric", eth0, "10.0.0.254")
	want("other interface", eth1, "")
	addRoute(t, netlink.Route{Dst: all, Priority: 50, MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: eth0, Gw: net.ParseIP("10.0.0.4")}, {LinkIndex: eth1, Gw: net.ParseIP("10.1.0.254")},
	}})
	want("one of several next hops", eth0, "10.0.0.4")
	want("the other of several next hops", eth1, "10.1.0.254")
	want("interface that is not there", 4711, "")
}
