// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrNotEthernet is returned for an interface without an Ethernet address.
var ErrNotEthernet = errors.New("not an ethernet interface")

// Interface is where an announcement goes and whom it names.
type Interface struct {
	Name  string
	Index int
	// MAC is the address the VIPs are at: the interface's own or a virtual MAC.
	MAC net.HardwareAddr
	// LinkLocal is the IPv6 source; the zero Addr means the VIP itself.
	LinkLocal netip.Addr
}

// Sender announces addresses.
//
// It sends complete Ethernet frames through one packet socket, IPv6 too: so the
// source MAC is its own choice, a link-local address that is tentative or
// missing is no obstacle, and nothing waits on the kernel's routing. The socket
// is bound to no interface and no protocol: it receives nothing, and each frame
// names the interface it leaves by. (A socket per interface would have to be
// closed when the interface goes, and closing a packet socket waits for RCU, for
// milliseconds.)
//
// A Sender is safe for concurrent use.
type Sender struct {
	fd int
}

// NewSender opens the socket in the calling thread's network namespace. It needs
// CAP_NET_RAW.
func NewSender() (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	// A thousand frames may outrun the send buffer; waiting for room is right,
	// but not for ever.
	timeout := unix.NsecToTimeval(int64(200e6))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set packet socket timeout: %w", err)
	}
	return &Sender{fd: fd}, nil
}

// Close releases the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Announce sends one announcement per address and returns how many went out. An
// address that fails does not keep the others back; the error names the first
// one and says how many more there are.
func (s *Sender) Announce(to Interface, addrs []netip.Addr) (int, error) {
	if len(to.MAC) != 6 {
		return 0, fmt.Errorf("announce on %s: %w", to.Name, ErrNotEthernet)
	}
	destination := &unix.SockaddrLinklayer{Ifindex: to.Index}
	var failure error
	sent := 0
	for _, addr := range addrs {
		frame, err := Frame(addr, to.MAC, to.LinkLocal)
		if err == nil {
			err = s.send(frame, destination)
		}
		switch {
		case err == nil:
			sent++
		case failure == nil:
			failure = fmt.Errorf("announce %s on %s: %w", addr, to.Name, err)
		}
		// An interface that is down or gone fails for every address alike.
		if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
			break
		}
	}
	if more := len(addrs) - sent - 1; failure != nil && more > 0 {
		failure = fmt.Errorf("%w (and %d more)", failure, more)
	}
	return sent, failure
}

func (s *Sender) send(frame []byte, to *unix.SockaddrLinklayer) error {
	for {
		err := unix.Sendto(s.fd, frame, 0, to)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
