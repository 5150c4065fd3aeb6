package peering

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
)

const (
	// classCS6 is the traffic class of network control (RFC 4594 section 3.1).
	classCS6 = 0xc0
	// socketBuffer, in bytes, holds hellos to sixteen peers that are gone: those
	// wait seconds for an ARP reply, and must not keep back the ones to others.
	socketBuffer = 4 << 20
)

// ErrNoIPv6 is returned for a peer that this host cannot reach for want of IPv6.
var ErrNoIPv6 = errors.New("this host has no ipv6")

// Neighbour is a peer and the way to it.
type Neighbour struct {
	Addr netip.Addr
	// Source is the address to send from, the one that the peer knows this host
	// by; the zero Addr leaves it to the kernel, which might take a VIP.
	Source netip.Addr
	// Interface is the index of the one to send through, which a link-local Addr
	// needs; 0 leaves it to the routes.
	Interface int
}

// Conn carries datagrams between this host and its peers, over a socket for each
// family that is bound to no address or interface, so that these may come and go.
type Conn struct {
	four, six *socket // six is nil on a host without IPv6
}

// Open opens the sockets, on UDP port Port, in the calling thread's network
// namespace. It needs no privilege; with CAP_NET_ADMIN buffers are larger.
func Open() (*Conn, error) {
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
	return &Conn{four: four, six: six}, nil
}

// Close ends Run and releases the sockets.
func (c *Conn) Close() error {
	err := c.four.udp.Close()
	if c.six != nil {
		err = errors.Join(err, c.six.udp.Close())
	}
	return err
}

// Send sends a datagram. It does not wait: where there is no room, it fails with
// EAGAIN.
func (c *Conn) Send(b []byte, to Neighbour) error {
	to.Addr = to.Addr.Unmap()
	s := c.four
	if !to.Addr.Is4() {
		s = c.six
	}
	if s == nil {
		return fmt.Errorf("send hello to %s: %w", to.Addr, ErrNoIPv6)
	}
	if err := s.send(b, to); err != nil {
		return fmt.Errorf("send hello to %s: %w", to.Addr, err)
	}
	return nil
}

// Run hands over what comes in until ctx is done, and closes the sockets. receive
// may be called from two goroutines at once; the payload is its own only until it
// returns. While it blocks, the kernel's socket buffer holds what arrives and
// drops what does not fit. Run returns nil when ctx ended it.
func (c *Conn) Run(ctx context.Context, receive func(Packet)) error {
	group, inner := errgroup.WithContext(ctx)
	stop := context.AfterFunc(inner, func() { c.Close() })
	defer stop()
	for _, s := range []*socket{c.four, c.six} {
		if s != nil {
			group.Go(func() error { return s.run(inner, receive) })
		}
	}
	return group.Wait()
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
		return nil, fmt.Errorf("open port for hellos: %w; find who has it with 'ss -ulnp sport = :%d'", err, Port)
	}
	if err != nil {
		return nil, fmt.Errorf("open port for hellos: %w", err)
	}
	udp := pc.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open port for hellos: %w", err), udp.Close())
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
func (s *socket) send(b []byte, to Neighbour) error {
	var failure error
	err := s.raw.Write(func(fd uintptr) bool {
		for {
			failure = unix.Sendmsg(int(fd), b, to.control(), to.sockaddr(), unix.MSG_DONTWAIT)
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
func (n Neighbour) control() []byte {
	source := n.Source.Unmap()
	switch {
	case !source.IsValid() && n.Interface == 0:
		return nil
	case n.Addr.Is4():
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

func (n Neighbour) sockaddr() unix.Sockaddr {
	if n.Addr.Is4() {
		return &unix.SockaddrInet4{Port: Port, Addr: n.Addr.As4()}
	}
	return &unix.SockaddrInet6{Port: Port, Addr: n.Addr.As16(), ZoneId: uint32(n.Interface)}
}

func (s *socket) run(ctx context.Context, receive func(Packet)) error {
	// Longer than any datagram, so that none is cut to a length that would do.
	buf, control := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	for {
		n, m, _, from, err := s.udp.ReadMsgUDPAddrPort(buf, control)
		switch {
		case ctx.Err() != nil:
			return nil
		case transient(err):
			continue
		case err != nil:
			return fmt.Errorf("receive hellos: %w", err)
		}
		receive(Packet{From: netip.AddrPortFrom(plain(from.Addr()), from.Port()), TTL: hops(control[:m]), Payload: buf[:n]})
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

// transient reports errors that say something about the network, not about the
// socket.
func transient(err error) bool {
	for _, e := range []error{unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
