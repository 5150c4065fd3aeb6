// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bytes"
	"errors"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// errMalformed is the one answer to frames that are not what they should be.
var errMalformed = errors.New("malformed")

// parseARP reads who an ARP packet says it is from. Requests and replies both
// make the neighbours note their sender, so both are claims. ok is false for a
// probe, which claims nothing (RFC 5227 section 1.1: sender address 0.0.0.0).
func parseARP(b []byte) (addr netip.Addr, mac net.HardwareAddr, ok bool, err error) {
	// Length fields first: the parser takes what they say for true.
	if len(b) < 28 || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return netip.Addr{}, nil, false, errMalformed
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(b); err != nil {
		return netip.Addr{}, nil, false, errMalformed
	}
	return p.SenderIP, p.SenderHardwareAddr, !p.SenderIP.IsUnspecified(), nil
}

// parseAdvertisement reads which address an ICMPv6 neighbour advertisement is
// about and the MAC it gives for it; nil if it gives none, as an answer to a
// unicast solicitation may (RFC 4861 section 4.4).
func parseAdvertisement(b []byte) (netip.Addr, net.HardwareAddr, error) {
	m, err := ndp.ParseMessage(b)
	if err != nil {
		return netip.Addr{}, nil, errMalformed
	}
	na, ok := m.(*ndp.NeighborAdvertisement)
	if !ok || na.TargetAddress.IsMulticast() {
		return netip.Addr{}, nil, errMalformed
	}
	for _, option := range na.Options {
		if lla, ok := option.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Target {
			return na.TargetAddress, lla.Addr, nil
		}
	}
	return na.TargetAddress, nil, nil
}
