// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// ndpHopLimit is what every NDP packet is sent with (RFC 4861 section 7.1).
const ndpHopLimit = 255

// askNDP solicits one neighbour and collects the advertisements until the
// deadline. It works below the IPv6 socket, whose zones are names of
// interfaces of the namespace that the sending thread happens to be in.
func (h *Host) askNDP(addr netip.Addr, until time.Time) (answers []net.HardwareAddr, err error) {
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, err
	}
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: h.MAC}},
	}, h.Addr6, group)
	if err != nil {
		return nil, err
	}
	g := group.As16()
	frame := &ethernet.Frame{
		// RFC 2464 section 7: 33:33 and the last four bytes of the group.
		Destination: net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]},
		Source:      h.MAC,
		EtherType:   ethernet.EtherTypeIPv6,
		Payload:     append(ipv6Header(h.Addr6, group, len(body)), body...),
	}
	err = h.exchange(frame, until, func(payload []byte) {
		if len(payload) < ipv6.HeaderLen || payload[6] != unix.IPPROTO_ICMPV6 {
			return
		}
		length := int(binary.BigEndian.Uint16(payload[4:]))
		if length > len(payload)-ipv6.HeaderLen {
			return
		}
		msg, err := ndp.ParseMessage(payload[ipv6.HeaderLen:][:length])
		if err != nil {
			return
		}
		na, ok := msg.(*ndp.NeighborAdvertisement)
		if !ok || na.TargetAddress != addr || !na.Solicited {
			return
		}
		for _, option := range na.Options {
			if lla, ok := option.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Target {
				answers = append(answers, lla.Addr)
			}
		}
	})
	return answers, err
}

// ipv6Header is the header of an ICMPv6 packet (RFC 8200 section 3).
func ipv6Header(src, dst netip.Addr, length int) []byte {
	b := make([]byte, 8, ipv6.HeaderLen)
	b[0] = ipv6.Version << 4
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b[6] = unix.IPPROTO_ICMPV6
	b[7] = ndpHopLimit
	return append(append(b, src.AsSlice()...), dst.AsSlice()...)
}
