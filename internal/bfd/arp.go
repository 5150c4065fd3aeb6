// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"
)

// Witness is a host whose answer proves that this host's network works, usually
// the gateway. The zero value stands for none.
type Witness struct {
	Address   netip.Addr       // IPv4
	Source    netip.Addr       // this host's own address, IPv4
	Interface int              // index of the interface towards it
	MAC       net.HardwareAddr // of that interface
}

// ErrWitness is what a witness that cannot be asked is refused with.
var ErrWitness = errors.New("a witness needs an IPv4 address, an IPv4 source address and an Ethernet interface")

// question is an ARP request that is ready to be sent.
type question struct {
	frame []byte
	to    unix.RawSockaddrLinklayer
}

// newQuestion prepares the broadcast request that asks for the witness.
func newQuestion(w Witness) (*question, error) {
	if !w.Address.Is4() || !w.Source.Is4() || len(w.MAC) != 6 || w.Interface <= 0 {
		return nil, ErrWitness
	}
	p, err := arp.NewPacket(arp.OperationRequest, w.MAC, w.Source, net.HardwareAddr{0, 0, 0, 0, 0, 0}, w.Address)
	if err != nil {
		return nil, fmt.Errorf("build arp for %s: %w", w.Address, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build arp for %s: %w", w.Address, err)
	}
	f := ethernet.Frame{Destination: ethernet.Broadcast, Source: w.MAC, EtherType: ethernet.EtherTypeARP, Payload: payload}
	frame, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build ethernet frame: %w", err)
	}
	return &question{
		frame: frame,
		to:    unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(w.Interface)},
	}, nil
}

// ask sends the request. It neither blocks nor allocates.
func (q *question) ask(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(&q.frame[0])), uintptr(len(q.frame)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL,
		uintptr(unsafe.Pointer(&q.to)), unsafe.Sizeof(q.to))
	return errno
}

// openPacket opens a packet socket that receives nothing: it is bound to no
// protocol. It needs CAP_NET_RAW.
func openPacket() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	return fd, nil
}
