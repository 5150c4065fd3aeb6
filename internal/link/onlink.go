// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// OnLink reports whether packets to addr leave this host without a gateway, and
// the interface they leave by: only then has addr a hardware address that
// frames can be sent to.
//
// ok is false for what is behind a gateway, for this host's own addresses, for
// broadcast and multicast, and for what no route leads to; ifindex is 0 then. An
// error means that the kernel could not be asked. A link-local IPv6 address
// needs its zone, by name or number; ErrNotFound if there is no such interface.
func (c *Conn) OnLink(addr netip.Addr) (ifindex int, ok bool, err error) {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return 0, false, errors.New("find route: no address")
	}
	var zone int
	if name := addr.Zone(); name != "" {
		if zone, err = c.zone(name); err != nil {
			return 0, false, fmt.Errorf("find route to %s: %w", addr, err)
		}
	}
	request := func(r *requests) {
		r.begin(unix.RTM_GETROUTE, 0, routeHeader(family(addr), addr.BitLen())...)
		r.Attr(unix.RTA_DST, addr.AsSlice())
		if addr.Zone() != "" {
			r.Uint32(unix.RTA_OIF, uint32(zone))
		}
		r.End()
	}
	var found foundRoute
	err = c.socket.query(request, func(m nlmsg.Message) {
		if f, ok := parseRoute(m.Data); ok && m.Type == unix.RTM_NEWROUTE {
			found = f
		}
	})
	if err != nil {
		if isUnreachable(err) {
			return 0, false, nil
		}
		return 0, false, fmt.Errorf("find route to %s: %w", addr, err)
	}
	if found.typ != unix.RTN_UNICAST || len(found.hops) != 1 || found.hops[0].behindGateway {
		return 0, false, nil
	}
	return found.hops[0].ifindex, true, nil
}

// zone is the interface number of an IPv6 zone.
func (c *Conn) zone(name string) (int, error) {
	if index, err := strconv.Atoi(name); err == nil {
		return index, nil
	}
	return c.index(name)
}

// isUnreachable tells the answers that say "no way" from those that say "no answer":
// no route, or one of type unreachable, prohibit or blackhole (ip-route(8)), in this
// order.
func isUnreachable(err error) bool {
	for _, errno := range []unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// DefaultGateway is the gateway of the IPv4 default route through an interface;
// the zero Addr when there is none, or one without an IPv4 gateway. With
// several, the main table goes before those of policy routing, and the lower
// metric before the higher.
//
// It reads all IPv4 routes through the interface, so it is for the start and for
// changes of routes, not for a takeover.
func (c *Conn) DefaultGateway(ifindex int) (netip.Addr, error) {
	for range 10 {
		gateway, err := c.defaultGateway(ifindex)
		if !errors.Is(err, errInterrupted) {
			return gateway, err
		}
	}
	return netip.Addr{}, fmt.Errorf("dump routes: %w", errInterrupted)
}

func (c *Conn) defaultGateway(ifindex int) (netip.Addr, error) {
	request := func(r *requests) {
		r.begin(unix.RTM_GETROUTE, unix.NLM_F_DUMP, routeHeader(unix.AF_INET, 0)...)
		// A filter from Linux 4.20 on, ignored before.
		r.Uint32(unix.RTA_OIF, uint32(ifindex))
		r.End()
	}
	var best foundRoute
	var gateway netip.Addr
	err := c.socket.query(request, func(m nlmsg.Message) {
		found, ok := parseRoute(m.Data)
		if !ok || m.Type != unix.RTM_NEWROUTE || found.bits != 0 || found.typ != unix.RTN_UNICAST {
			return
		}
		for _, hop := range found.hops {
			if hop.ifindex == ifindex && hop.gateway.IsValid() && (!gateway.IsValid() || found.before(best)) {
				best, gateway = found, hop.gateway
			}
		}
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("dump routes: %w", err)
	}
	return gateway, nil
}

// foundRoute is what is read of a route.
type foundRoute struct {
	typ           uint8 // unix.RTN_*
	bits          int   // of the destination's prefix
	table, metric uint32
	hops          []hop
}

// before is the order of preference between default routes.
func (a foundRoute) before(b foundRoute) bool {
	other := func(r foundRoute) int {
		if r.table == unix.RT_TABLE_MAIN {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(other(a), other(b)), cmp.Compare(a.metric, b.metric)) < 0
}

// hop is one next hop of a route.
type hop struct {
	ifindex int
	// behindGateway tells that there is a gateway, of whatever family; gateway
	// is set where it is IPv4.
	behindGateway bool
	gateway       netip.Addr
}

// routeHeader is a struct rtmsg (linux/rtnetlink.h) that asks for a route.
func routeHeader(family uint8, bits int) []byte {
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1] = family, uint8(bits)
	return b
}

func parseRoute(b []byte) (foundRoute, bool) {
	if len(b) < unix.SizeofRtMsg {
		return foundRoute{}, false
	}
	r := foundRoute{bits: int(b[1]), table: uint32(b[4]), typ: b[7]}
	var single hop
	for typ, value := range nlmsg.Attrs(b[unix.SizeofRtMsg:]) {
		switch typ {
		case unix.RTA_TABLE:
			r.table = uint32Of(value)
		case unix.RTA_PRIORITY:
			r.metric = uint32Of(value)
		case unix.RTA_MULTIPATH:
			r.hops = parseHops(value)
		default:
			single.set(typ, value)
		}
	}
	if single.ifindex != 0 {
		r.hops = append(r.hops, single)
	}
	return r, true
}

// parseHops reads the struct rtnexthop array of a multipath route.
func parseHops(b []byte) []hop {
	var hops []hop
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return hops
		}
		h := hop{ifindex: int(int32(binary.NativeEndian.Uint32(b[4:])))}
		for typ, value := range nlmsg.Attrs(b[unix.SizeofRtNexthop:n]) {
			h.set(typ, value)
		}
		hops = append(hops, h)
		b = b[min(nlmsg.Align(n), len(b)):]
	}
	return hops
}

// set takes one attribute of a next hop. RTA_VIA is a gateway of another family
// (RFC 5549).
func (h *hop) set(typ uint16, value []byte) {
	switch typ {
	case unix.RTA_OIF:
		h.ifindex = int(uint32Of(value))
	case unix.RTA_GATEWAY:
		h.behindGateway = true
		if addr, ok := netip.AddrFromSlice(value); ok && addr.Is4() {
			h.gateway = addr
		}
	case unix.RTA_VIA:
		h.behindGateway = true
	}
}

// uint32Of is 0 for what is no number.
func uint32Of(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
