// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
)

// The interfaces of a router besides [Interface], which is on the inside.
const (
	OutsideInterface = "eth1"
	SyncInterface    = "eth2"
)

// The networks of a router pair, as the switch's bridges are named.
const (
	outsideBridge = "outside"
	syncBridge    = "sync"
)

var (
	// Gateway is the virtual address on the inside, which the client routes by.
	Gateway = netip.MustParsePrefix("10.9.1.1/24")
	// NATAddress is the virtual address on the outside, which connections seem to
	// come from.
	NATAddress = netip.MustParsePrefix("10.9.2.1/24")
)

// Routers is a lab of two routers between two networks, which translate source
// addresses and forward nothing that they do not know:
//
//	   client                  haa .166   hab .167                  web
//	+-----------+  inside   +------------------------+  outside  +-----------+
//	| .200 eth0 |----br0----| eth0    SNAT      eth1 |-----------| eth0 .200 |
//	+-----------+  .1 moves +--------- eth2 ---------+  .1 moves +-----------+
//	                             sync link, .166 .167
//	 10.9.1.0/24                  10.9.0.0/24                     10.9.2.0/24
//
// Neither haproxy nor a web server runs in it. The client has a route to the outside
// by way of the [Gateway]; the web host has none to the inside.
type Routers struct {
	*Lab
}

// routerRules are those of both routers: a connection begins with a SYN from the
// inside, and whatever does not belong to one that is known goes nowhere.
const routerRules = `table ip filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname %[1]q ct state new tcp flags syn accept
		ct state invalid drop
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname %[2]q ip saddr %[3]s snat to %[4]s
	}
}
`

// NewRouters builds a pair of routers. On error nothing is left behind.
func NewRouters(ctx context.Context) (*Routers, error) {
	host := func(name, network, bridge, last string) HostSpec {
		return HostSpec{
			Name: name, V4: netip.MustParsePrefix("10.9." + network + "." + last + "/24"),
			V6: netip.MustParsePrefix("fd00:9:" + network + "::" + last + "/64"), bridge: bridge,
		}
	}
	hosts := []HostSpec{
		host(HostA, "1", bridgeName, "166"), host(HostB, "1", bridgeName, "167"),
		host(Client, "1", bridgeName, "200"), host(Web, "2", outsideBridge, "200"),
	}
	l, err := build(hosts, []string{bridgeName, outsideBridge, syncBridge}, Options{}, func(l *Lab) error {
		a, b := l.Pair()
		return errors.Join(l.makeRouter(ctx, a), l.makeRouter(ctx, b), l.Client().routeBy(Gateway.Addr(), NATAddress.Masked()))
	})
	if err != nil {
		return nil, err
	}
	return &Routers{Lab: l}, nil
}

// RoutersForTest builds a pair of routers that is removed at the end of the test. It
// skips and fails as [ForTest] does.
func RoutersForTest(t TB) *Routers {
	t.Helper()
	SkipUnlessRoot(t)
	SkipUnlessInstalled(t, "ip", "nsenter", "ethtool", "nft")
	r, err := NewRouters(t.Context())
	if err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return r
}

// addrOn is the router's own address in the network of another interface: that of
// eth0 with the third byte changed.
func (h *Host) addrOn(iface string) netip.Addr {
	ip := h.Addr.As4()
	ip[2] = map[string]byte{SyncInterface: 0, Interface: 1, OutsideInterface: 2}[iface]
	return netip.AddrFrom4(ip)
}

// SyncAddr is the router's address on the sync link.
func (h *Host) SyncAddr() netip.Addr { return h.addrOn(SyncInterface) }

func (l *Lab) makeRouter(ctx context.Context, h *Host) error {
	for _, c := range []cable{
		{port: h.Name + "-" + outsideBridge, bridge: outsideBridge, iface: OutsideInterface},
		{port: h.Name + "-" + syncBridge, bridge: syncBridge, iface: SyncInterface},
	} {
		addr := h.addrOn(c.iface)
		c.mac = macFor(addr)
		if err := l.lay(h, c); err != nil {
			return err
		}
		h.ports = append(h.ports, c.port)
		if err := errors.Join(h.disableChecksumOffload(c.iface), h.withLink(c.iface, netlink.LinkSetUp),
			h.AddAddr(c.iface, netip.PrefixFrom(addr, 24))); err != nil {
			return err
		}
	}
	for _, s := range [][2]string{
		{"net.ipv4.ip_forward", "1"},
		// A packet in the middle of a connection that the table does not have is invalid.
		{"net.netfilter.nf_conntrack_tcp_loose", "0"},
	} {
		if err := h.SetSysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	rules := h.Path("rules.nft")
	text := fmt.Sprintf(routerRules, Interface, OutsideInterface, Gateway.Masked(), NATAddress.Addr())
	if err := os.WriteFile(rules, []byte(text), 0o644); err != nil {
		return err
	}
	_, err := h.Run(ctx, "nft", "-f", rules)
	return err
}

// routeBy adds a route.
func (h *Host) routeBy(gateway netip.Addr, to netip.Prefix) error {
	return h.Do(func() error {
		return netlink.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice()})
	})
}
