// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/test/program/frames"
)

// namespace is a network namespace of its own with a thread in it. Both end with
// close, and with the process.
type namespace struct {
	work chan func()
	gone chan struct{} // closed when the thread has ended
}

func newNamespace() (*namespace, error) {
	n := &namespace{work: make(chan func()), gone: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(n.gone)
		// Never unlocked: the thread ends with the goroutine, and the namespace
		// with the thread.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		if err != nil {
			return
		}
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	return n, nil
}

// do calls f on the thread and waits for it.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	task := func() {
		defer close(done)
		f()
	}
	select {
	case n.work <- task:
		<-done
	case <-n.gone:
		panic("rig: a function has ended the thread of its namespace")
	}
}

func (n *namespace) close() { close(n.work) }

// populate sets lo up with the addresses that sockets of the tests have, and a wire
// to clients that have no sockets.
func populate() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	for _, f := range Families() {
		bits, flags := 32, 0
		if !f.Is4() {
			bits, flags = 128, unix.IFA_F_NODAD
		}
		for _, a := range []string{f.VIP.String(), f.Client.String()} {
			addr, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", a, bits))
			if err != nil {
				return err
			}
			addr.Flags = flags
			if err := netlink.AddrAdd(lo, addr); err != nil {
				return fmt.Errorf("put %s on lo: %w", a, err)
			}
		}
	}
	return wire()
}

// The wire's two ends are both in the namespace.
const (
	wireName = "wire"
	// WireEnd is where frames for this host are put in by hand, and its answers to
	// Handmade are seen.
	WireEnd = "wire-end"
)

// WireMAC is this host's address on the wire.
func WireMAC() frames.MAC { return frames.MAC{0x02, 0, 0, 0, 0x05, 0x01} }

// wire makes a veth pair with a route to the handmade clients, which never answer.
func wire() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = wireName
	mac := WireMAC()
	attrs.HardwareAddr = mac[:]
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: WireEnd}); err != nil {
		return fmt.Errorf("make the wire: %w", err)
	}
	var index int
	for _, name := range []string{WireEnd, wireName} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
		index = l.Attrs().Index
	}
	for _, f := range Families() {
		to := f.Handmade.AsSlice()
		err := netlink.RouteAdd(&netlink.Route{
			LinkIndex: index, Scope: netlink.SCOPE_LINK,
			Dst: &net.IPNet{IP: to, Mask: net.CIDRMask(8*len(to), 8*len(to))},
		})
		if err != nil {
			return fmt.Errorf("route to %v: %w", f.Handmade, err)
		}
		router := RouterMAC()
		err = netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: index, State: netlink.NUD_PERMANENT, IP: to, HardwareAddr: router[:],
		})
		if err != nil {
			return fmt.Errorf("neighbour %v: %w", f.Handmade, err)
		}
	}
	return nil
}
