// SPDX-License-Identifier: Apache-2.0

package config

import "net/netip"

// addLinkLocal gives an IPv6 instance without a link-local VIP one of its own: RFC
// 9568 section 5.2.9 has every advert list one first, and receivers drop those
// that do not. It comes last here, so that the others keep their places.
func (i *Instance) addLinkLocal() {
	if v6, _ := i.family(); !v6 {
		return
	}
	for _, vip := range i.VIPs {
		if vip.Advertise && vip.Prefix.Addr().IsLinkLocalUnicast() {
			return
		}
	}
	i.VIPs = append(i.VIPs, VIP{
		Prefix:    netip.PrefixFrom(routerLinkLocal(i.VRID), 128),
		Interface: i.Interface, Advertise: true,
	})
}

// routerLinkLocal is the link-local address that follows from the virtual
// router's MAC, 00:00:5e:00:02:VRID (RFC 4291 appendix A): the same on all hosts
// of a virtual router, and no other's.
func routerLinkLocal(vrid uint8) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: 0x02, 10: 0x5e, 11: 0xff, 12: 0xfe, 14: 0x02, 15: vrid,
	})
}
