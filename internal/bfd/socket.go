// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cs6 is DSCP class selector 6, network control (RFC 4594 section 3.1).
const cs6 = 6 << 5

// sockets sends probes: one socket for each family, both at the same port. They
// receive nothing.
type sockets struct {
	v4, v6 int // -1: the host does not have this family
	port   uint16
}

// openSockets opens the sockets in the calling thread's network namespace. The
// kernel chooses the port.
func openSockets() (*sockets, error) {
	for range 16 {
		s, err := openPair()
		if err == nil || !errors.Is(err, unix.EADDRINUSE) {
			return s, err
		}
	}
	return nil, fmt.Errorf("find a port that is free for IPv4 and IPv6: %w", unix.EADDRINUSE)
}

func openPair() (*sockets, error) {
	s := &sockets{v4: -1, v6: -1}
	var err error
	if s.v4, err = openSocket(unix.AF_INET, &unix.SockaddrInet4{}); err != nil && !missing(err) {
		return nil, fmt.Errorf("open probe socket for IPv4: %w", err)
	}
	if s.v4 >= 0 {
		if s.port, err = boundPort(s.v4); err != nil {
			s.close()
			return nil, fmt.Errorf("open probe socket for IPv4: %w", err)
		}
	}
	if s.v6, err = openSocket(unix.AF_INET6, &unix.SockaddrInet6{Port: int(s.port)}); err != nil && !missing(err) {
		s.close()
		return nil, fmt.Errorf("open probe socket for IPv6: %w", err)
	}
	if s.v6 >= 0 && s.port == 0 {
		if s.port, err = boundPort(s.v6); err != nil {
			s.close()
			return nil, fmt.Errorf("open probe socket for IPv6: %w", err)
		}
	}
	switch s.port {
	case 0:
		return nil, fmt.Errorf("open probe socket: %w", unix.EAFNOSUPPORT)
	case Port: // the reflector takes nothing from its own port, RFC 7881 section 4
		s.close()
		return nil, unix.EADDRINUSE
	}
	return s, nil
}

// missing reports whether a host does without a family of addresses.
func missing(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

func openSocket(family int, local unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, err
	}
	type option struct{ level, name, value int }
	options := []option{
		// TTL 255 shows the reflector that no router was between (RFC 5082).
		{unix.IPPROTO_IP, unix.IP_TTL, 255},
		{unix.IPPROTO_IP, unix.IP_TOS, cs6},
		// The reflector turns the datagram around in XDP, where a checksum that
		// the network card was to fill in would go back half done. RFC 768 lets
		// IPv4 do without.
		{unix.SOL_SOCKET, unix.SO_NO_CHECK, 1},
	}
	if family == unix.AF_INET6 {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, cs6},
		}
	}
	// After the type of service, which sets it too. More than 6 would need CAP_NET_ADMIN.
	options = append(options, option{unix.SOL_SOCKET, unix.SO_PRIORITY, 6})
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	// What XDP does not take, because it is off, must not fill the socket.
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	filter := unix.SockFprog{Len: uint16(len(nothing)), Filter: &nothing[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if err := unix.Bind(fd, local); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func boundPort(fd int) (uint16, error) {
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, unix.EAFNOSUPPORT
}

func (s *sockets) close() {
	for _, fd := range [...]int{s.v4, s.v6} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// envelope is a datagram that is ready to be sent. It holds pointers into itself
// and must not be copied.
type envelope struct {
	fd      int
	payload [PacketLen]byte
	name    unix.RawSockaddrInet6 // or, for IPv4, a RawSockaddrInet4 at its start
	control [64]byte
	iov     unix.Iovec
	header  unix.Msghdr
}

// newEnvelope addresses a datagram to a peer's reflector.
func newEnvelope(s *sockets, p Peer) (*envelope, error) {
	e := &envelope{}
	to, source := p.Addr.Unmap(), p.Source.Unmap()
	if source.IsValid() && source.Is4() != to.Is4() {
		return nil, fmt.Errorf("probe %s from %s: %w", to, source, unix.EAFNOSUPPORT)
	}
	port := [2]byte{Port >> 8, Port & 0xff}
	if to.Is4() {
		e.fd = s.v4
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&e.name))
		name.Family, name.Addr = unix.AF_INET, to.As4()
		name.Port = *(*uint16)(unsafe.Pointer(&port))
		e.header.Namelen = unix.SizeofSockaddrInet4
	} else {
		e.fd = s.v6
		e.name.Family, e.name.Addr = unix.AF_INET6, to.As16()
		e.name.Port = *(*uint16)(unsafe.Pointer(&port))
		e.header.Namelen = unix.SizeofSockaddrInet6
	}
	if source.IsValid() || p.Interface != 0 {
		e.header.Control = &e.control[0]
		e.header.SetControllen(copy(e.control[:], packetInfo(to.Is4(), source, p.Interface)))
	}
	e.iov.Base = &e.payload[0]
	e.iov.SetLen(len(e.payload))
	e.header.Name = (*byte)(unsafe.Pointer(&e.name))
	e.header.Iov = &e.iov
	e.header.SetIovlen(1)
	return e, nil
}

// carry has it carry another payload than its own, which must stay where it is.
func (e *envelope) carry(payload []byte) {
	e.iov.Base = &payload[0]
	e.iov.SetLen(len(payload))
}

// packetInfo is the control message that says where a datagram leaves from, and by which
// interface; the kernel chooses what is not said.
func packetInfo(four bool, source netip.Addr, iface int) []byte {
	if four {
		info := unix.Inet4Pktinfo{Ifindex: int32(iface)}
		if source.IsValid() {
			info.Spec_dst = source.As4()
		}
		return unix.PktInfo4(&info)
	}
	info := unix.Inet6Pktinfo{Ifindex: uint32(iface)}
	if source.IsValid() {
		info.Addr = source.As16()
	}
	return unix.PktInfo6(&info)
}

// send sends the payload as it is. It neither blocks nor allocates.
func (e *envelope) send() unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(e.fd),
		uintptr(unsafe.Pointer(&e.header)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return errno
}
