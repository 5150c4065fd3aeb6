// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} // RFC 2464 section 7
	zeroMAC     = net.HardwareAddr{0, 0, 0, 0, 0, 0}
)

// Frame is the Ethernet frame that announces the address: a gratuitous ARP for
// IPv4, an unsolicited neighbour advertisement for IPv6. mac is the sender's, be
// it the interface's or the virtual router's. linkLocal is the source of the
// advertisement; without one (the zero Addr) it is the VIP itself.
func Frame(addr netip.Addr, mac net.HardwareAddr, linkLocal netip.Addr) ([]byte, error) {
	if addr.Is4() {
		return arpFrame(addr, mac)
	}
	return neighbourFrame(addr, mac, linkLocal)
}

// arpFrame is an ARP announcement (RFC 5227 section 2.3): a broadcast request
// whose sender and target are both the VIP.
//
// A request rather than a reply, because RFC 5227 section 3 found it the form
// that every implementation takes note of. Its target hardware address means
// nothing in a request, and is zero as the RFC recommends.
func arpFrame(addr netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, mac, addr, zeroMAC, addr)
	if err != nil {
		return nil, fmt.Errorf("build arp for %s: %w", addr, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build arp for %s: %w", addr, err)
	}
	return frame(ethernet.Broadcast, mac, ethernet.EtherTypeARP, payload)
}

// neighbourFrame is an unsolicited neighbour advertisement (RFC 4861 section
// 7.2.6) with the flags of RFC 9568 section 6.4.2: Router set, Solicited clear,
// Override set.
func neighbourFrame(addr netip.Addr, mac net.HardwareAddr, linkLocal netip.Addr) ([]byte, error) {
	source := linkLocal
	if !source.IsValid() {
		source = addr
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        true,
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, source, allNodes)
	if err != nil {
		return nil, fmt.Errorf("build neighbour advertisement for %s: %w", addr, err)
	}
	packet := make([]byte, 0, 40+len(message))
	packet = append(packet, 6<<4, 0, 0, 0)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(message)))
	packet = append(packet, unix.IPPROTO_ICMPV6, ndp.HopLimit)
	packet = append(packet, source.AsSlice()...)
	packet = append(packet, allNodes.AsSlice()...)
	packet = append(packet, message...)
	return frame(allNodesMAC, mac, ethernet.EtherTypeIPv6, packet)
}

func frame(to, from net.HardwareAddr, typ ethernet.EtherType, payload []byte) ([]byte, error) {
	f := ethernet.Frame{Destination: to, Source: from, EtherType: typ, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build ethernet frame: %w", err)
	}
	return b, nil
}
