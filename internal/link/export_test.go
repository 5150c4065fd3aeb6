// SPDX-License-Identifier: Apache-2.0

package link

import "golang.org/x/sys/unix"

// SetReceiveBuffer shrinks the buffer, so that a test can overrun it.
func (m *Monitor) SetReceiveBuffer(n int) error {
	conn, err := m.events.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n)
	})
	if err != nil {
		return err
	}
	return failure
}

// Rereads is valid once Run has returned.
func (m *Monitor) Rereads() uint64 { return m.rereads }
