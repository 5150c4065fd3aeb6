// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// openSocket opens a netfilter socket in the calling thread's network namespace, in
// which it stays, whatever thread uses it. buffer is how much may wait to be read, in
// bytes as the kernel counts them: about 1 KiB for an event.
func openSocket(buffer int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, fmt.Errorf("open netfilter socket: %w", err)
	}
	// The kernel doubles what it is told. Without the privilege, the system's limit holds.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer/2) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer/2)
	}
	return fd, nil
}

// bind gives the socket its port and its groups, and returns the port.
func bind(fd int, groups uint32) (port uint32, err error) {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return 0, fmt.Errorf("bind netfilter socket: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("name of netfilter socket: %w", err)
	}
	return name.(*unix.SockaddrNetlink).Pid, nil
}

// send hands requests to the kernel, which has carried them out when it returns, and
// has queued all answers.
func send(fd int, requests []byte) error {
	for {
		_, err := unix.Write(fd, requests)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("send to netfilter: %w", err)
		}
	}
}

const (
	// slots is how many datagrams one system call reads.
	slots = 64
	// slotSize is larger than any event, with IPv6, master, labels, a helper and a
	// security context.
	slotSize = 2048
)

// reader reads datagrams many to a system call, without allocation.
type reader struct {
	headers [slots]struct {
		unix.Msghdr
		n uint32 // what was received
	}
	vectors [slots]unix.Iovec
	from    [slots]unix.RawSockaddrNetlink
	buf     []byte
	// used is how many slots the last read has filled.
	used int
}

func newReader() *reader {
	r := &reader{buf: make([]byte, slots*slotSize), used: slots}
	for i := range r.headers {
		r.vectors[i].Base = &r.buf[i*slotSize]
		r.vectors[i].SetLen(slotSize)
		r.headers[i].Name = (*byte)(unsafe.Pointer(&r.from[i]))
		r.headers[i].Iov = &r.vectors[i]
		r.headers[i].SetIovlen(1)
	}
	return r
}

// read reads what is queued, slots datagrams at most, and returns how many; none is no
// error. ENOBUFS: the kernel had no room for others.
func (r *reader) read(fd int) (int, error) {
	for i := range r.used {
		r.headers[i].Namelen = unix.SizeofSockaddrNetlink
	}
	for {
		n, _, err := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.headers)), slots,
			unix.MSG_DONTWAIT, 0, 0)
		switch err {
		case 0:
			r.used = int(n)
			return r.used, nil
		case unix.EINTR:
		case unix.EAGAIN:
			r.used = 0
			return 0, nil
		default:
			r.used = 0
			return 0, err
		}
	}
}

// datagram is the one in a slot. It is nil if another process has sent it, which can
// know the port; ErrTruncated if it did not fit.
func (r *reader) datagram(slot int) ([]byte, error) {
	h := &r.headers[slot]
	if r.from[slot].Pid != 0 {
		return nil, nil
	}
	if h.Flags&unix.MSG_TRUNC != 0 {
		return nil, nlmsg.ErrTruncated
	}
	begin := slot * slotSize
	return r.buf[begin : begin+int(h.n)], nil
}
