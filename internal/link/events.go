// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// receiveAll waits for messages and applies all that are there to the table.
// lost is true when the kernel had to drop some.
func receiveAll(conn syscall.RawConn, buf []byte, t *table) (lost bool, err error) {
	var failure error
	waiting := true
	err = conn.Read(func(fd uintptr) bool {
		for {
			datagram, err := nlmsg.Receive(int(fd), buf)
			switch {
			case errors.Is(err, unix.EAGAIN):
				// Nothing more: done, unless nothing has come at all.
				return !waiting
			case errors.Is(err, unix.ENOBUFS), errors.Is(err, nlmsg.ErrTruncated):
				lost = true
			case err != nil:
				failure = err
				return true
			}
			waiting = false
			for m := range nlmsg.Messages(datagram) {
				t.apply(m)
			}
		}
	})
	if failure != nil {
		return lost, failure
	}
	return lost, err
}

// apply takes one notification into the table.
func (t *table) apply(m nlmsg.Message) {
	switch m.Type {
	case unix.RTM_NEWLINK:
		if l, ok := parseLink(m.Data); ok {
			t.setLink(l)
		}
	case unix.RTM_DELLINK:
		if l, ok := parseLink(m.Data); ok {
			t.removeLink(l.index)
		}
	case unix.RTM_NEWADDR:
		if a, ok := parseAddr(m.Data); ok {
			t.setAddr(a)
		}
	case unix.RTM_DELADDR:
		if a, ok := parseAddr(m.Data); ok {
			t.removeAddr(a.index, a.prefix)
		}
	}
}
