// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// ErrNotFound is returned for an interface that does not exist.
var ErrNotFound = errors.New("interface not found")

// State is what the kernel says of one interface.
type State struct {
	Name string
	// Index changes when an interface is removed and created again.
	Index int
	MAC   net.HardwareAddr
	// Up is true while the interface is set up, has carrier and is operational
	// (RFC 2863: up, or unknown for drivers that do not tell).
	Up  bool
	MTU int
	// Addrs are the usable addresses with their prefixes, VIPs among them:
	// primary ones first, and none whose duplicate address detection is under
	// way or has failed.
	Addrs []netip.Prefix
}

// Primary4 is the first primary IPv4 address that skip does not hold, or the
// zero Addr. Adverts over IPv4 are sent from it (RFC 9568 section 5.1.1.1).
func (s State) Primary4(skip func(netip.Addr) bool) netip.Addr {
	for _, p := range s.Addrs {
		if a := p.Addr(); a.Is4() && (skip == nil || !skip(a)) {
			return a
		}
	}
	return netip.Addr{}
}

// LinkLocal6 is the first IPv6 link-local address that skip does not hold, or
// the zero Addr. Adverts over IPv6 are sent from it (RFC 9568 section 5.1.2.1).
func (s State) LinkLocal6(skip func(netip.Addr) bool) netip.Addr {
	for _, p := range s.Addrs {
		if a := p.Addr(); a.Is6() && a.IsLinkLocalUnicast() && (skip == nil || !skip(a)) {
			return a
		}
	}
	return netip.Addr{}
}

// Global6 is the first IPv6 address that is not link-local and that skip does
// not hold, or the zero Addr. Unicast adverts to peers named by such addresses
// are sent from it.
func (s State) Global6(skip func(netip.Addr) bool) netip.Addr {
	for _, p := range s.Addrs {
		if a := p.Addr(); a.Is6() && !a.IsLinkLocalUnicast() && (skip == nil || !skip(a)) {
			return a
		}
	}
	return netip.Addr{}
}

// Has reports whether the interface carries the address, whatever its prefix length.
func (s State) Has(a netip.Addr) bool {
	for _, p := range s.Addrs {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// linkInfo is what a link message tells.
type linkInfo struct {
	index int
	name  string
	mac   net.HardwareAddr
	up    bool
	mtu   int
}

// parseLink reads an RTM_NEWLINK or RTM_DELLINK message.
func parseLink(data []byte) (linkInfo, bool) {
	if len(data) < unix.SizeofIfInfomsg {
		return linkInfo{}, false
	}
	// Bridges send messages of their own family about their ports; those are no
	// changes of the link itself.
	if data[0] != unix.AF_UNSPEC {
		return linkInfo{}, false
	}
	// IFF_RUNNING stands for the operational state, IFF_LOWER_UP for carrier.
	const ready = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	info := linkInfo{
		index: int(int32(binary.NativeEndian.Uint32(data[4:]))),
		up:    binary.NativeEndian.Uint32(data[8:])&ready == ready,
	}
	for typ, value := range nlmsg.Attrs(data[unix.SizeofIfInfomsg:]) {
		switch typ {
		case unix.IFLA_IFNAME:
			info.name = zeroTerminated(value)
		case unix.IFLA_ADDRESS:
			info.mac = net.HardwareAddr(append([]byte(nil), value...))
		case unix.IFLA_MTU:
			if len(value) >= 4 {
				info.mtu = int(binary.NativeEndian.Uint32(value))
			}
		}
	}
	return info, info.index > 0 && info.name != ""
}

// addrInfo is what an address message tells.
type addrInfo struct {
	index     int
	prefix    netip.Prefix
	secondary bool
	usable    bool
}

// parseAddr reads an RTM_NEWADDR or RTM_DELADDR message.
func parseAddr(data []byte) (addrInfo, bool) {
	if len(data) < unix.SizeofIfAddrmsg {
		return addrInfo{}, false
	}
	info := addrInfo{index: int(binary.NativeEndian.Uint32(data[4:]))}
	bits, flags := int(data[1]), uint32(data[2])
	var address, local netip.Addr
	for typ, value := range nlmsg.Attrs(data[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			if len(value) >= 4 {
				flags = binary.NativeEndian.Uint32(value)
			}
		}
	}
	// On point-to-point links IFA_ADDRESS is the peer's; IPv6 has no IFA_LOCAL otherwise.
	if local.IsValid() {
		address = local
	}
	info.prefix = netip.PrefixFrom(address, bits)
	// IFA_F_SECONDARY shares its bit with IFA_F_TEMPORARY of IPv6, whose
	// privacy addresses are indeed no primary ones.
	info.secondary = flags&unix.IFA_F_SECONDARY != 0
	info.usable = flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 || flags&unix.IFA_F_OPTIMISTIC != 0
	return info, info.index > 0 && info.prefix.IsValid()
}

func zeroTerminated(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
