// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// States of a bridge port (linux/if_bridge.h).
const (
	portDisabled   = 0
	portForwarding = 3
)

// SilentDeath makes the host vanish as one that lost its power behind a switch
// does: its ports drop everything both ways while the carrier stays up on both
// ends. The host itself goes on and notices nothing but silence.
func (h *Host) SilentDeath() error {
	h.dead.Store(true)
	return h.setPorts(portDisabled)
}

// Revive undoes SilentDeath.
func (h *Host) Revive() error {
	h.dead.Store(false)
	return h.setPorts(portForwarding)
}

// setPorts sets the state of the host's ports on the switch, as
// `bridge link set dev PORT state N` does.
func (h *Host) setPorts(state uint8) error {
	err := h.lab.sw.do(func() error {
		for _, port := range h.ports {
			if err := setPort(port, state); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set ports of %s to state %d: %w", h.Name, state, err)
	}
	return nil
}

// setPort sets the state of a port. It runs inside the switch. A port that is on no
// bridge has none; who carries its frames asks whether the host is dead.
func setPort(name string, state uint8) error {
	port, err := netlink.LinkByName(name)
	if err != nil || port.Attrs().MasterIndex == 0 {
		return err
	}
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(port.Attrs().Index)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(nl.IFLA_BRPORT_STATE, []byte{state})
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(info)
	_, err = req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// LinkDown takes eth0 down, which the host sees at once.
func (h *Host) LinkDown() error {
	return h.withLink(Interface, netlink.LinkSetDown)
}

// LinkUp brings eth0 up with the host's own addresses. The kernel drops IPv6
// addresses when a link goes down, and as a network manager would, LinkUp adds
// them again.
func (h *Host) LinkUp() error {
	return h.withLink(Interface, func(link netlink.Link) error {
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		for _, p := range h.ownAddrs() {
			if err := netlink.AddrAdd(link, addrFor(p)); err != nil && !isExist(err) {
				return fmt.Errorf("add address %s: %w", p, err)
			}
		}
		return nil
	})
}

// Unplug removes eth0 altogether, as when a virtual machine's card is detached.
func (h *Host) Unplug() error { return h.withLink(Interface, netlink.LinkDel) }

// Plug makes eth0 anew after Unplug: with the same addresses and MAC, but another
// index and everything else as the kernel makes it.
func (h *Host) Plug() error {
	if err := h.lab.plug(h); err != nil {
		return err
	}
	return errors.Join(h.LinkUp(), h.disableChecksumOffload(Interface))
}

// AddAddr adds an address to a link, as an administrator might.
func (h *Host) AddAddr(link string, p netip.Prefix) error {
	return h.withLink(link, func(l netlink.Link) error {
		return netlink.AddrAdd(l, addrFor(p))
	})
}

// DelAddr removes an address from a link, as an administrator might.
func (h *Host) DelAddr(link string, p netip.Prefix) error {
	return h.withLink(link, func(l netlink.Link) error {
		return netlink.AddrDel(l, addrFor(p))
	})
}

// Reset brings a host back to how it was built: every process killed, no pins, no
// XDP program, plugged in, only its own addresses, no other links, sysctls as they
// were, no limit on haproxy. Daemons that were killed leave all of these behind.
func (h *Host) Reset() error {
	h.killAll()
	errs := []error{h.removePins(), h.detachXDP(), h.unlimit()}
	errs = append(errs, h.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, link := range links {
			switch link.Attrs().Name {
			case "lo", Interface:
				errs = append(errs, h.dropForeignAddrs(link))
			default:
				// One end of a veth takes the other with it.
				if err := netlink.LinkDel(link); !errors.Is(err, unix.ENODEV) {
					errs = append(errs, err)
				}
			}
		}
		for key, value := range h.sysctls {
			errs = append(errs, writeSysctl(key, value))
		}
		return nil
	}))
	errs = append(errs, os.RemoveAll(h.Path(stateDir)), h.LinkUp(), h.Revive(), h.FlushNeighbours())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("reset %s: %w", h.Name, err)
	}
	return nil
}

// FlushNeighbours empties the host's ARP and neighbour tables.
func (h *Host) FlushNeighbours() error {
	return h.withLink(Interface, func(link netlink.Link) error {
		neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, n := range neighbours {
			if n.State&(netlink.NUD_NOARP|netlink.NUD_PERMANENT) != 0 {
				continue
			}
			// An entry may be gone by now.
			if err := netlink.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
		return nil
	})
}

// dropForeignAddrs removes every address that is neither the host's own nor the
// kernel's. It runs inside the host.
func (h *Host) dropForeignAddrs(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		if !ok || ip.IsLoopback() || ip == h.Addr || ip == h.Addr6 || ip.IsLinkLocalUnicast() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil {
			return fmt.Errorf("remove %s: %w", ip, err)
		}
	}
	return nil
}

func (h *Host) withLink(name string, fn func(netlink.Link) error) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: link %s: %w", h.Name, name, err)
		}
		if err := fn(link); err != nil {
			return fmt.Errorf("%s: link %s: %w", h.Name, name, err)
		}
		return nil
	})
}
