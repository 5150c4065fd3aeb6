// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/config"
)

// routeProtocol marks the routes as a VRRP daemon's in `ip route` and to routing
// daemons. The number is registered to keepalived, the other such daemon.
const routeProtocol = unix.RTPROT_KEEPALIVED

// AddRoutes installs the routes, replacing equal ones. All are tried; the error
// joins those that failed.
func (c *Conn) AddRoutes(routes []config.Route) error {
	return c.eachRoute("add", routes, c.handle.RouteReplace, nil)
}

// RemoveRoutes removes the routes; one that is not there, or whose interface has
// gone, is fine.
func (c *Conn) RemoveRoutes(routes []config.Route) error {
	return c.eachRoute("remove", routes, c.handle.RouteDel, unix.ESRCH)
}

func (c *Conn) eachRoute(op string, routes []config.Route, change func(*netlink.Route) error, harmless error) error {
	var failures []error
	for _, r := range routes {
		route, err := c.route(r)
		if errors.Is(err, ErrNotFound) && harmless != nil {
			continue
		}
		if err == nil {
			err = change(route)
		}
		if err != nil && (harmless == nil || !errors.Is(err, harmless)) {
			failures = append(failures, fmt.Errorf("%s route to %s: %w", op, r.To, err))
		}
	}
	return errors.Join(failures...)
}

func (c *Conn) route(r config.Route) (*netlink.Route, error) {
	route := &netlink.Route{
		Dst:      ipNet(r.To),
		Priority: r.Metric,
		Table:    r.Table,
		Protocol: routeProtocol,
	}
	if r.Via.IsValid() {
		route.Gw = r.Via.AsSlice()
	} else if r.To.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	if r.Source.IsValid() {
		route.Src = r.Source.AsSlice()
	}
	if r.Interface != "" {
		index, err := c.index(r.Interface)
		if err != nil {
			return nil, err
		}
		route.LinkIndex = index
	}
	return route, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
