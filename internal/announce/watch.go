// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Claim says that another host announced, or answered for, an address of ours.
type Claim struct {
	Interface string
	Addr      netip.Addr
	// MAC is the rival's; nil if an advertisement did not give it.
	MAC net.HardwareAddr
	// Kind is "arp" or "na".
	Kind string
}

// Watched is what a Watch looks out for. It is not changed once it has been
// given to a Watch.
type Watched struct {
	// Interfaces are those to listen on: names by index.
	Interfaces map[int]string
	// VIPs are the addresses nobody else may claim; usually those this host is
	// Active for.
	VIPs map[netip.Addr]struct{}
	// MACs are this host's, virtual ones among them. What they claim is our own.
	MACs map[[6]byte]struct{}
}

// Watch listens for claims.
type Watch struct {
	watched   atomic.Pointer[Watched]
	malformed atomic.Uint64
	arp       *os.File
	// icmp is nil on a host without IPv6.
	icmp    net.PacketConn
	packets *ipv6.PacketConn
}

// NewWatch opens the sockets in the calling thread's network namespace; it needs
// CAP_NET_RAW. It hears nothing until Set.
func NewWatch() (*Watch, error) {
	w := &Watch{}
	w.watched.Store(&Watched{})
	if err := w.openARP(); err != nil {
		return nil, err
	}
	if err := w.openICMP(); err != nil {
		w.arp.Close()
		return nil, err
	}
	return w, nil
}

// openARP opens a packet socket that hears ARP on all interfaces. Such a socket
// gets what comes in, not what this host sends. It is bound to the protocol only
// once its filter is in place.
func (w *Watch) openARP() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open arp socket: %w", err)
	}
	program, err := arpFilter(nil)
	if err == nil {
		err = attachFilter(fd, program)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ARP)})
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("set up arp socket: %w", err)
	}
	w.arp = os.NewFile(uintptr(fd), "arp")
	return nil
}

// openICMP opens a raw ICMPv6 socket that the kernel filters down to neighbour
// advertisements, so that other IPv6 traffic costs nothing. Checksums are
// verified by the kernel (RFC 3542 section 3.1), and every interface is a member
// of the all-nodes group they are sent to.
func (w *Watch) openICMP() error {
	conn, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open icmpv6 socket: %w", err)
	}
	w.icmp, w.packets = conn, ipv6.NewPacketConn(conn)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err = w.packets.SetICMPFilter(&filter); err == nil {
		err = w.packets.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit, true)
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("set up icmpv6 socket: %w", err)
	}
	return nil
}

// Set replaces what is watched. It may be called at any time.
func (w *Watch) Set(watched Watched) error {
	w.watched.Store(&watched)
	program, err := arpFilter(slices.Collect(maps.Keys(watched.VIPs)))
	if err != nil {
		return fmt.Errorf("assemble arp filter: %w", err)
	}
	conn, err := w.arp.SyscallConn()
	if err != nil {
		return fmt.Errorf("arp socket: %w", err)
	}
	var failure error
	err = conn.Control(func(fd uintptr) { failure = attachFilter(int(fd), program) })
	return errors.Join(err, failure)
}

// Malformed counts the frames that could not be understood.
func (w *Watch) Malformed() uint64 { return w.malformed.Load() }

// Run reports claims until ctx is done, and closes the sockets. report may be
// called from two goroutines at once, and should return soon. Run returns nil
// when ctx ended it.
func (w *Watch) Run(ctx context.Context, report func(Claim)) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-inner.Done()
		if w.icmp != nil {
			w.icmp.Close()
		}
		return w.arp.Close()
	})
	group.Go(func() error { return w.runARP(inner, report) })
	if w.icmp != nil {
		group.Go(func() error { return w.runICMP(inner, report) })
	}
	return group.Wait()
}

func (w *Watch) runARP(ctx context.Context, report func(Claim)) error {
	conn, err := w.arp.SyscallConn()
	if err != nil {
		return fmt.Errorf("arp socket: %w", err)
	}
	buf := make([]byte, 128)
	for {
		n, index, err := receiveARP(conn, buf)
		if ctx.Err() != nil {
			return nil
		}
		// An interface that goes down is told to every packet socket that hears
		// it; the socket lives on.
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive arp: %w", err)
		}
		addr, mac, ok, err := parseARP(buf[:n])
		if err != nil {
			w.malformed.Add(1)
			continue
		}
		if ok {
			w.judge(index, addr, mac, "arp", report)
		}
	}
}

// receiveARP waits for one packet and returns its length and interface.
func receiveARP(conn syscall.RawConn, buf []byte) (n, index int, err error) {
	var failure error
	err = conn.Read(func(fd uintptr) bool {
		var from unix.Sockaddr
		for {
			n, from, failure = unix.Recvfrom(int(fd), buf, 0)
			if !errors.Is(failure, unix.EINTR) {
				break
			}
		}
		if sender, ok := from.(*unix.SockaddrLinklayer); ok {
			index = sender.Ifindex
		}
		return !errors.Is(failure, unix.EAGAIN)
	})
	if err != nil {
		return 0, 0, err
	}
	return n, index, failure
}

func (w *Watch) runICMP(ctx context.Context, report func(Claim)) error {
	buf := make([]byte, 2048)
	for {
		n, control, _, err := w.packets.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive neighbour advertisements: %w", err)
		}
		addr, mac, err := parseAdvertisement(buf[:n])
		// A hop limit under 255 has come over a router, and so from no
		// neighbour (RFC 4861 section 7.1.2).
		if err != nil || control == nil || control.HopLimit != 255 {
			w.malformed.Add(1)
			continue
		}
		w.judge(control.IfIndex, addr, mac, "na", report)
	}
}

// judge reports an announcement that is somebody else's about something of ours.
func (w *Watch) judge(index int, addr netip.Addr, mac net.HardwareAddr, kind string, report func(Claim)) {
	watched := w.watched.Load()
	name, ours := watched.Interfaces[index]
	if !ours {
		return
	}
	if _, ours := watched.VIPs[addr]; !ours {
		return
	}
	if len(mac) == 6 {
		if _, own := watched.MACs[[6]byte(mac)]; own {
			return
		}
	}
	report(Claim{Interface: name, Addr: addr, MAC: slices.Clone(mac), Kind: kind})
}

// networkOrder is htons.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}
