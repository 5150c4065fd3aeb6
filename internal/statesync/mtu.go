// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"fmt"

	"golang.org/x/sys/unix"

	"hafast/internal/membership"
)

// maxMTU is Ethernet's. A larger one of this host's says little of the way to a peer.
const maxMTU = 1500

// pathMTU is how large a packet to a peer may be without being cut to pieces, as far as
// the routes know it now, 1500 at most.
func pathMTU(to membership.Neighbour) (int, error) {
	addr := to.Way().Unmap()
	family, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU
	if !addr.Is4() {
		family, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("find the MTU to %s: %w", addr, err)
	}
	defer unix.Close(fd)
	mtu := 0
	if err = unix.Connect(fd, sockaddr(addr, to)); err == nil {
		mtu, err = unix.GetsockoptInt(fd, level, option)
	}
	if err != nil {
		return 0, fmt.Errorf("find the MTU to %s: %w", addr, err)
	}
	return min(mtu, maxMTU), nil
}
