// SPDX-License-Identifier: Apache-2.0

package advert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"hafast/pkg/vrrp"
)

// classCS6 is the traffic class of network control (RFC 4594 section 3.1).
const classCS6 = 0xc0

// maxPacket holds the largest advertisement, 255 IPv6 addresses, with room to
// see that a longer packet was longer.
const maxPacket = 8192

// Conn sends and receives the advertisements of one interface and family. Send
// may be called while Run runs.
type Conn struct {
	ifi  *net.Interface
	raw  rawConn
	vmac *frameSender
}

// rawConn is what IPv4 and IPv6 have in common.
type rawConn interface {
	send(b []byte, src, dst netip.Addr) error
	receive(b []byte) (n int, p vrrp.Packet, err error)
	close() error
}

// Open returns a connection on the named interface in the calling thread's
// network namespace. It needs CAP_NET_RAW.
func Open(name string, ip6 bool) (*Conn, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	open := openIPv4
	if ip6 {
		open = openIPv6
	}
	raw, err := open(ifi)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("open a raw socket on %s: %w; run as root or with CAP_NET_RAW", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open a raw socket on %s: %w", name, err)
	}
	return &Conn{ifi: ifi, raw: raw}, nil
}

// Index is the interface's index; another one means another interface, though it
// may have the same name, and needs another Conn.
func (c *Conn) Index() int { return c.ifi.Index }

// Send puts an advertisement on the wire from one of the interface's addresses.
func (c *Conn) Send(b []byte, src, dst netip.Addr) error {
	if err := c.raw.send(b, src, dst); err != nil {
		return fmt.Errorf("send to %s on %s: %w", dst, c.ifi.Name, err)
	}
	return nil
}

// SendFrom is Send to the multicast group with another source MAC than the
// interface's (RFC 9568 section 7.2).
func (c *Conn) SendFrom(mac [6]byte, b []byte, src, dst netip.Addr) error {
	if c.vmac == nil {
		f, err := newFrameSender(c.ifi)
		if err != nil {
			return fmt.Errorf("open a packet socket on %s: %w", c.ifi.Name, err)
		}
		c.vmac = f
	}
	if err := c.vmac.send(mac, b, src, dst); err != nil {
		return fmt.Errorf("send to %s on %s: %w", dst, c.ifi.Name, err)
	}
	return nil
}

// Run reports each packet until ctx ends or the socket fails. The payload is the
// receiver's to keep. While report blocks, the kernel's socket buffer holds what
// arrives and drops what does not fit.
//
// The kernel does not tell a raw socket that its interface was removed: Run then
// waits for ever, until Close, and Send fails. See [Conn.Index].
func (c *Conn) Run(ctx context.Context, report func(vrrp.Packet)) error {
	stop := context.AfterFunc(ctx, func() { c.raw.close() })
	defer stop()
	buf := make([]byte, maxPacket)
	for {
		n, p, err := c.raw.receive(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case transient(err):
			continue
		case err != nil:
			return fmt.Errorf("receive on %s: %w", c.ifi.Name, err)
		}
		p.Payload = append([]byte(nil), buf[:n]...)
		report(p)
	}
}

// transient reports errors that say something about the network, not about the
// socket: the interface went down, or ICMP came back from a unicast peer.
func transient(err error) bool {
	for _, e := range []error{unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED, unix.EPROTO, unix.ENOPROTOOPT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Close ends Run.
func (c *Conn) Close() error {
	if c.vmac != nil {
		c.vmac.close()
	}
	return c.raw.close()
}

// listen opens a raw socket bound to the interface, so that a host with several
// hears each advertisement on the one it arrived at only.
func listen(network, address string, ifi *net.Interface) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var opt error
		err := rc.Control(func(fd uintptr) {
			opt = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, ifi.Name)
		})
		return errors.Join(err, opt)
	}}
	return lc.ListenPacket(context.Background(), network, address)
}

type conn4 struct {
	*ipv4.PacketConn
	ifi *net.Interface
}

func openIPv4(ifi *net.Interface) (rawConn, error) {
	pc, err := listen(fmt.Sprintf("ip4:%d", vrrp.Protocol), "0.0.0.0", ifi)
	if err != nil {
		return nil, err
	}
	c := conn4{ipv4.NewPacketConn(pc), ifi}
	err = errors.Join(
		c.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst, true),
		c.JoinGroup(ifi, &net.IPAddr{IP: vrrp.Group4().AsSlice()}),
		c.SetMulticastInterface(ifi),
		c.SetMulticastLoopback(false),
		c.SetMulticastTTL(vrrp.TTL),
		c.SetTTL(vrrp.TTL),
		c.SetTOS(classCS6),
	)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c conn4) send(b []byte, src, dst netip.Addr) error {
	cm := ipv4.ControlMessage{Src: src.AsSlice(), IfIndex: c.ifi.Index}
	_, err := c.WriteTo(b, &cm, &net.IPAddr{IP: dst.AsSlice()})
	return err
}

func (c conn4) receive(b []byte) (int, vrrp.Packet, error) {
	n, cm, from, err := c.ReadFrom(b)
	if err != nil {
		return 0, vrrp.Packet{}, err
	}
	p := vrrp.Packet{Src: addrOf(from)}
	if cm != nil {
		p.TTL = cm.TTL
		p.Dst = unmapped(cm.Dst)
	}
	return n, p, nil
}

func (c conn4) close() error { return c.Close() }

type conn6 struct {
	*ipv6.PacketConn
	ifi *net.Interface
}

func openIPv6(ifi *net.Interface) (rawConn, error) {
	pc, err := listen(fmt.Sprintf("ip6:%d", vrrp.Protocol), "::", ifi)
	if err != nil {
		return nil, err
	}
	c := conn6{ipv6.NewPacketConn(pc), ifi}
	err = errors.Join(
		c.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst, true),
		c.JoinGroup(ifi, &net.IPAddr{IP: vrrp.Group6().AsSlice()}),
		c.SetMulticastInterface(ifi),
		c.SetMulticastLoopback(false),
		c.SetMulticastHopLimit(vrrp.TTL),
		c.SetHopLimit(vrrp.TTL),
		c.SetTrafficClass(classCS6),
	)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c conn6) send(b []byte, src, dst netip.Addr) error {
	cm := ipv6.ControlMessage{Src: src.AsSlice(), IfIndex: c.ifi.Index}
	// No zone: the socket is bound to the interface, and package net may take the
	// index of a zone's name from a cache that is a minute old.
	_, err := c.WriteTo(b, &cm, &net.IPAddr{IP: dst.AsSlice()})
	return err
}

func (c conn6) receive(b []byte) (int, vrrp.Packet, error) {
	n, cm, from, err := c.ReadFrom(b)
	if err != nil {
		return 0, vrrp.Packet{}, err
	}
	p := vrrp.Packet{Src: addrOf(from)}
	if cm != nil {
		p.TTL = cm.HopLimit
		p.Dst = unmapped(cm.Dst)
	}
	return n, p, nil
}

func (c conn6) close() error { return c.Close() }

func addrOf(a net.Addr) netip.Addr {
	ip, ok := a.(*net.IPAddr)
	if !ok {
		return netip.Addr{}
	}
	return unmapped(ip.IP)
}

// unmapped drops the zone too: a Conn has only one interface.
func unmapped(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
