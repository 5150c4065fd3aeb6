// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// CanReceive implements [Network]: it opens the port for a moment.
func (system) CanReceive(port uint16) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return errno
		}
		return err
	}
	return conn.Close()
}

// From linux/netfilter/nfnetlink_conntrack.h: asks for the number of entries.
const ctnetlinkGetStats = 5

// Conntrack implements [Kernel] by a question that costs nothing. The kernel loads the
// module for it if it is not there yet, as it does for hafast.
func (system) Conntrack() (bool, error) {
	// The answer says that more will come, and nothing does: hence the acknowledgement.
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|ctnetlinkGetStats, unix.NLM_F_ACK)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	_, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT):
		// What a kernel answers without the subsystem, or without any of its kind.
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for the connection tracking table: %w", err)
	}
	return true, nil
}
