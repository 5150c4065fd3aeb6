// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Answer is what has come of asking for a host's hardware address.
type Answer uint8

// The answers.
const (
	// NoAnswerDue: the host could not be asked, which says nothing about it.
	NoAnswerDue Answer = iota
	// Unanswered: what was asked before is not answered yet, or will not be.
	Unanswered
	// Reachable: it has answered since it was asked before.
	Reachable
)

// Ask has the kernel verify that a host on the network behind an interface
// still answers for its address, by ARP or neighbor solicitation (RFC 4861 section
// 7.3), and tells what has come of the time before. It does not wait. The kernel asks
// three times, a second apart, and goes on when it is called again. An entry that an
// administrator has fixed is left alone.
//
// It works in the calling thread's network namespace and needs CAP_NET_ADMIN.
func Ask(ifindex int, addr netip.Addr) (Answer, error) {
	addr = addr.Unmap()
	state, err := neighborState(ifindex, addr)
	if err != nil {
		return NoAnswerDue, fmt.Errorf("look up neighbor %s: %w", addr, err)
	}
	answer := Unanswered
	switch {
	case state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0:
		return NoAnswerDue, nil
	case state&(unix.NUD_PROBE|unix.NUD_INCOMPLETE) != 0:
		return Unanswered, nil // the kernel is at it
	case state&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY) != 0:
		answer = Reachable
		err = changeNeighbour(ifindex, addr, unix.NUD_PROBE, 0)
		if errors.Is(err, unix.EINVAL) {
			err = nil // its hardware address has been forgotten this very moment
		}
	default:
		err = changeNeighbour(ifindex, addr, unix.NUD_NONE, unix.NTF_USE)
	}
	if err != nil {
		return NoAnswerDue, fmt.Errorf("probe neighbor %s: %w", addr, err)
	}
	return answer, nil
}

// neighborState is what the kernel thinks of a neighbor, NUD_NONE if nothing. To ask
// for a single one needs Linux 5.0.
func neighborState(ifindex int, addr netip.Addr) (int, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	addNeighbour(req, ifindex, addr, unix.NUD_NONE, 0)
	replies, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	switch {
	case errors.Is(err, unix.ENOENT):
		return unix.NUD_NONE, nil
	case err != nil:
		return 0, err
	case len(replies) != 1:
		return 0, fmt.Errorf("%d neighbours have this address", len(replies))
	}
	neighbor, err := netlink.NeighDeserialize(replies[0])
	if err != nil {
		return 0, err
	}
	return neighbor.State, nil
}

func changeNeighbour(ifindex int, addr netip.Addr, state uint16, flags uint8) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	addNeighbour(req, ifindex, addr, state, flags)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// addNeighbour completes a request with a struct ndmsg (linux/neighbor.h), of which the
// kernel wants the padding to be zero, and the address.
func addNeighbour(req *nl.NetlinkRequest, ifindex int, addr netip.Addr, state uint16, flags uint8) {
	msg := new(netlink.Ndmsg)
	msg.Family = unix.AF_INET6
	if addr.Is4() {
		msg.Family = unix.AF_INET
	}
	msg.Index, msg.State, msg.Flags = uint32(ifindex), state, flags
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.NDA_DST, addr.AsSlice()))
}
