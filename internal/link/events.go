package link

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// receiveAll waits for messages and applies all that are there to the table.
// lost is true when the kernel had to drop some.
func receiveAll(conn syscall.RawConn, buf []byte, t *table) (lost bool, err error) {
	var failure error
	waiting := true
	err = conn.Read(func(fd uintptr) bool {
		for {
			n, from, err := unix.Recvfrom(int(fd), buf, unix.MSG_TRUNC)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				// Nothing more: done, unless nothing has come at all.
				return !waiting
			case errors.Is(err, unix.ENOBUFS):
				lost, waiting = true, false
				continue
			case err != nil:
				failure = err
				return true
			}
			waiting = false
			if n > len(buf) {
				lost = true
				continue
			}
			// Another process may send to our port; only the kernel is port 0.
			if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
				splitReplies(buf[:n], t.apply)
			}
		}
	})
	if failure != nil {
		return lost, failure
	}
	return lost, err
}

// apply takes one notification into the table.
func (t *table) apply(r reply) {
	switch r.typ {
	case unix.RTM_NEWLINK:
		if l, ok := parseLink(r.data); ok {
			t.setLink(l)
		}
	case unix.RTM_DELLINK:
		if l, ok := parseLink(r.data); ok {
			t.removeLink(l.index)
		}
	case unix.RTM_NEWADDR:
		if a, ok := parseAddr(r.data); ok {
			t.setAddr(a)
		}
	case unix.RTM_DELADDR:
		if a, ok := parseAddr(r.data); ok {
			t.removeAddr(a.index, a.prefix)
		}
	}
}
