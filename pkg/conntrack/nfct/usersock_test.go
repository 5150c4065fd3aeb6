// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

// endpoint is a netlink socket for messages between processes, which pass a socket
// filter like those of the kernel.
type endpoint struct {
	fd   int
	port uint32
}

func socketPair(t *testing.T) (a, b endpoint) {
	t.Helper()
	nstest.Enter(t)
	for _, e := range []*endpoint{&a, &b} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_USERSOCK)
		if err != nil {
			t.Fatalf("netlink socket between processes: %v", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		port, err := bind(fd, 0)
		if err != nil {
			t.Fatal(err)
		}
		*e = endpoint{fd: fd, port: port}
	}
	return a, b
}

// header rewrites a message's type, flags and port.
func header(message []byte, typ, flags uint16, port uint32) {
	binary.NativeEndian.PutUint16(message[4:], typ)
	binary.NativeEndian.PutUint16(message[6:], flags)
	binary.NativeEndian.PutUint32(message[12:], port)
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
