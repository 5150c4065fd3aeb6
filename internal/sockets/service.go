// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"cmp"
	"net/netip"
	"slices"

	"hafast/internal/config"
)

// Service is a VIP, a port and a protocol that haproxy serves: the same as in the
// configuration, where services can be written by hand instead.
type Service = config.Service

// The values of Service.Proto.
const (
	tcp = "tcp"
	udp = "udp"
)

// compare is the order in which services are listed.
func compare(a, b Service) int {
	return cmp.Or(a.VIP.Compare(b.VIP), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
}

// addresses are the VIPs, to look up and by family. A socket's address has no zone,
// so they have none.
type addresses struct {
	all    map[netip.Addr]bool
	v4, v6 []netip.Addr
}

func newAddresses(vips []netip.Addr) addresses {
	a := addresses{all: make(map[netip.Addr]bool, len(vips))}
	for _, vip := range vips {
		vip = vip.Unmap().WithZone("")
		if !vip.IsValid() || a.all[vip] {
			continue
		}
		a.all[vip] = true
		if vip.Is4() {
			a.v4 = append(a.v4, vip)
		} else {
			a.v6 = append(a.v6, vip)
		}
	}
	return a
}

// each calls f for the VIPs that a socket serves by its local address.
func (a addresses) each(r record, f func(netip.Addr)) {
	local := r.local.Addr()
	switch {
	case a.all[local]:
		f(local)
	case local == netip.IPv4Unspecified():
		for _, vip := range a.v4 {
			f(vip)
		}
	case local == netip.IPv6Unspecified():
		for _, vip := range a.v6 {
			f(vip)
		}
		if r.dual {
			for _, vip := range a.v4 {
				f(vip)
			}
		}
	}
}

// serves reports whether a socket's local address can serve any VIP.
func (a addresses) serves(r record) bool {
	switch local := r.local.Addr(); local {
	case netip.IPv4Unspecified():
		return len(a.v4) > 0
	case netip.IPv6Unspecified():
		return len(a.v6) > 0 || r.dual && len(a.v4) > 0
	default:
		return a.all[local]
	}
}

// services is what haproxy's own sockets make: TCP's that listen and UDP's that
// are unconnected. See the package comment for the rules. The result is sorted and
// has no service twice.
func services(vips addresses, tcps, udps []record) []Service {
	found := make(map[Service]bool)
	for _, r := range tcps {
		vips.each(r, func(vip netip.Addr) {
			found[Service{VIP: vip, Port: r.local.Port(), Proto: tcp}] = true
		})
	}
	for _, r := range udps {
		vips.each(r, func(vip netip.Addr) {
			if !r.local.Addr().IsUnspecified() || found[Service{VIP: vip, Port: r.local.Port(), Proto: tcp}] {
				found[Service{VIP: vip, Port: r.local.Port(), Proto: udp}] = true
			}
		})
	}
	list := make([]Service, 0, len(found))
	for s := range found {
		list = append(list, s)
	}
	slices.SortFunc(list, compare)
	return list
}
