// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"hafast/internal/membership"
)

const (
	// classCS6 is the traffic class of network control (RFC 4594 section 3.1).
	classCS6 = 0xc0
	// socketBuffer, in bytes, holds what a peer sends in bulk while this host works it
	// off, and what waits seconds for the ARP reply of peers that are gone.
	socketBuffer = 16 << 20
)

// Port is where the datagrams of all hosts come from and go to, on UDP.
const Port = 9406

// hopLimit is that of all datagrams. No packet from beyond a router has it (RFC 5082,
// GTSM): whoever can forge one that is not sealed is on the hosts' own network, where
// ARP and VRRP can be forged too.
const hopLimit = 255

// ErrNoIPv6 is returned for a peer that this host cannot reach for want of IPv6.
var ErrNoIPv6 = errors.New("this host has no ipv6")

// datagram is one as it came in. The payload is its receiver's only until that returns.
type datagram struct {
	from netip.AddrPort
	// hops is its IPv4 TTL or IPv6 hop limit.
	hops    int
	payload []byte
}

// conn carries datagrams between this host and its peers, over a socket for each
// family that is bound to no address or interface, so that these may come and go.
type conn struct {
	four, six *socket // six is nil on a host without IPv6
	// spare is for drain.
	spare buffers
}

// openConn opens the sockets in the calling thread's network namespace. It needs no
// privilege; with CAP_NET_ADMIN buffers are larger.
func openConn() (*conn, error) {
	four, err := openSocket("udp4")
	if err != nil {
		return nil, err
	}
	six, err := openSocket("udp6")
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		six, err = nil, nil
	}
	if err != nil {
		return nil, errors.Join(err, four.udp.Close())
	}
	return &conn{four: four, six: six, spare: newBuffers()}, nil
}

// close ends run and releases the sockets.
func (c *conn) close() error {
	err := c.four.udp.Close()
	if c.six != nil {
		err = errors.Join(err, c.six.udp.Close())
	}
	return err
}

// send sends a datagram. It does not wait: where there is no room, it fails with
// EAGAIN.
func (c *conn) send(b []byte, to membership.Neighbour) error {
	addr := to.Way().Unmap()
	s := c.four
	if !addr.Is4() {
		s = c.six
	}
	if s == nil {
		return fmt.Errorf("send to %s: %w", addr, ErrNoIPv6)
	}
	if err := s.send(b, addr, to); err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	return nil
}

// run hands over what comes in until ctx is done, and closes the sockets. rest is called
// when nothing more is there at the moment, and now and then. Both may be called from
// two goroutines at once. While they block, the kernel's socket buffer holds what arrives
// and drops what does not fit. run returns nil when ctx ended it.
func (c *conn) run(ctx context.Context, receive func(datagram), rest func()) error {
	group, inner := errgroup.WithContext(ctx)
	stop := context.AfterFunc(inner, func() { c.close() })
	defer stop()
	for _, s := range c.sockets() {
		group.Go(func() error { return s.run(inner, receive, rest) })
	}
	return group.Wait()
}

// drain hands over what is there already without waiting, so many datagrams at most of
// each family. It reports whether there may be more. It is not for two callers at once.
func (c *conn) drain(most int, receive func(datagram)) (more bool) {
	for _, s := range c.sockets() {
		n := 0
		for ; n < most; n++ {
			d, err := s.next(c.spare)
			if err != nil && !transient(err) {
				break
			}
			if err == nil {
				receive(d)
			}
		}
		more = more || n == most
	}
	return more
}

func (c *conn) sockets() []*socket {
	if c.six == nil {
		return []*socket{c.four}
	}
	return []*socket{c.four, c.six}
}

// socket is a UDP socket of one family.
type socket struct {
	udp *net.UDPConn
	raw syscall.RawConn
}

func openSocket(network string) (*socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var failure error
		err := rc.Control(func(fd uintptr) { failure = setUp(int(fd), network == "udp6") })
		return errors.Join(err, failure)
	}}
	pc, err := lc.ListenPacket(context.Background(), network, net.JoinHostPort("", strconv.Itoa(Port)))
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("open UDP port: %w; find who has it with 'ss -ulnp sport = :%d'", err, Port)
	}
	if err != nil {
		return nil, fmt.Errorf("open UDP port: %w", err)
	}
	udp := pc.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open UDP port: %w", err), udp.Close())
	}
	return &socket{udp, raw}, nil
}

// setUp sets a socket's options before it is bound.
func setUp(fd int, six bool) error {
	for _, option := range []struct{ force, plain int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF},
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
	} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.force, socketBuffer) == nil {
			continue
		}
		// Without CAP_NET_ADMIN the kernel gives as much as its limit allows.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.plain, socketBuffer); err != nil {
			return fmt.Errorf("set socket buffer: %w", err)
		}
	}
	if six {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hopLimit),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, classCS6),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
		)
	}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, hopLimit),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, classCS6),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTTL, 1),
	)
}

// send is one system call. A net.UDPConn would wait for room.
func (s *socket) send(b []byte, addr netip.Addr, to membership.Neighbour) error {
	var failure error
	err := s.raw.Write(func(fd uintptr) bool {
		for {
			failure = unix.Sendmsg(int(fd), b, control(addr, to), sockaddr(addr, to), unix.MSG_DONTWAIT)
			if !errors.Is(failure, unix.EINTR) {
				return true
			}
		}
	})
	if err != nil {
		return err
	}
	return failure
}

// control names the source and the interface, for those that are given.
func control(addr netip.Addr, n membership.Neighbour) []byte {
	source := n.Source.Unmap()
	switch {
	case !source.IsValid() && n.Interface == 0:
		return nil
	case addr.Is4():
		info := unix.Inet4Pktinfo{Ifindex: int32(n.Interface)}
		if source.Is4() {
			info.Spec_dst = source.As4()
		}
		return unix.PktInfo4(&info)
	default:
		info := unix.Inet6Pktinfo{Ifindex: uint32(n.Interface)}
		if source.Is6() {
			info.Addr = source.As16()
		}
		return unix.PktInfo6(&info)
	}
}

func sockaddr(addr netip.Addr, n membership.Neighbour) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: Port, Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Port: Port, Addr: addr.As16(), ZoneId: uint32(n.Interface)}
}

// burst is how many datagrams are handed over without a rest.
const burst = 64

func (s *socket) run(ctx context.Context, receive func(datagram), rest func()) error {
	b := newBuffers()
	for n := 1; ; n++ {
		d, err := s.next(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			receive(d)
			if n%burst == 0 {
				rest()
			}
		case errors.Is(err, unix.EAGAIN):
			rest()
			if err := s.raw.Read(readable); err != nil && ctx.Err() == nil {
				return fmt.Errorf("wait for peers: %w", err)
			}
		case !transient(err):
			return fmt.Errorf("receive from peers: %w", err)
		}
	}
}

// buffers are for one datagram and its control messages.
type buffers struct{ payload, control []byte }

// newBuffers has room for more than any datagram, so that none is cut to a length that
// would do.
func newBuffers() buffers {
	return buffers{make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))}
}

// next is the next datagram that is there; EAGAIN if there is none.
func (s *socket) next(b buffers) (d datagram, err error) {
	failure := s.raw.Control(func(fd uintptr) {
		var n, m int
		var from unix.Sockaddr
		if n, m, _, from, err = unix.Recvmsg(int(fd), b.payload, b.control, unix.MSG_DONTWAIT); err == nil {
			d = datagram{from: source(from), hops: hops(b.control[:m]), payload: b.payload[:n]}
		}
	})
	return d, errors.Join(failure, err)
}

// readable reports whether a socket has something to read, or an error to report.
func readable(fd uintptr) bool {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(ready, 0)
	return n > 0 || err != nil && err != unix.EINTR
}

func source(from unix.Sockaddr) netip.AddrPort {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(plain(netip.AddrFrom16(from.Addr)), uint16(from.Port))
	default:
		return netip.AddrPort{}
	}
}

// hops finds the TTL or hop limit among the control messages; 0 if it is not there.
func hops(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		four := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL
		six := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT
		if (four || six) && len(m.Data) >= 4 {
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
}

// transient reports errors that say something about the network or the moment, not about
// the socket.
func transient(err error) bool {
	for _, e := range []error{unix.EINTR, unix.ENOMEM, unix.ENOBUFS, unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// plain is the form of an address that compares equal everywhere: zones are a host's
// own.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
