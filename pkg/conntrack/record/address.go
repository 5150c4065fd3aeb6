// SPDX-License-Identifier: Apache-2.0

package record

import "net/netip"

// Address is an IP address without a zone; IPv4 is written as ::ffff:a.b.c.d.
type Address [16]byte

// AddressOf converts an address; an invalid one becomes all zeros.
func AddressOf(a netip.Addr) Address {
	if !a.IsValid() {
		return Address{}
	}
	return a.As16()
}

// Netip converts back; all zeros become the zero Addr.
func (a Address) Netip() netip.Addr {
	if a == (Address{}) {
		return netip.Addr{}
	}
	return netip.AddrFrom16(a).Unmap()
}

// Is4 reports whether it is an IPv4 address.
func (a Address) Is4() bool { return netip.AddrFrom16(a).Is4In6() }

func (a Address) String() string { return a.Netip().String() }
