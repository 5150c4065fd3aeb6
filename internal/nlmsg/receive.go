// SPDX-License-Identifier: Apache-2.0

package nlmsg

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrTruncated is returned for a datagram that is longer than the buffer.
var ErrTruncated = errors.New("netlink datagram longer than the buffer")

// Receive reads the kernel's next datagram into buf and returns the part that it
// takes. It waits as the socket does: for ever, for SO_RCVTIMEO, or not at all if it
// is non-blocking.
//
// The socket works on after these errors, but something is missing: ErrTruncated, the
// datagram itself; unix.ENOBUFS, datagrams that found the socket's buffer full, be they
// events or answers. unix.EAGAIN says that nothing has come in time. Other errors are
// recvfrom(2)'s.
func Receive(fd int, buf []byte) ([]byte, error) {
	for {
		n, port, err := receiveFrom(fd, buf)
		switch {
		case err == unix.EINTR:
		case err != 0:
			return nil, err
		case port != 0:
			// Another process may send to our port; only the kernel is port 0.
		case n > len(buf):
			return nil, ErrTruncated
		default:
			return buf[:n:n], nil
		}
	}
}

// receiveFrom is recvfrom(2). unix.Recvfrom would allocate an address for every
// datagram, and most events come one to a datagram. n is the datagram's length,
// however much of it fits.
func receiveFrom(fd int, buf []byte) (n int, port uint32, err unix.Errno) {
	var from unix.RawSockaddrNetlink
	size := uint32(unsafe.Sizeof(from))
	r, _, err := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_TRUNC,
		uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
	return int(r), from.Pid, err
}
