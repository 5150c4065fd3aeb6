// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// JoinPorts makes one port of the switch's ports of the host, as a switch does that speaks
// LACP (IEEE 802.1AX): they become members of a bond, and the bond is the bridge's port. The
// kernel has to have bonds. The members keep their programs.
func (h *Host) JoinPorts() error {
	name := h.Name + "-lacp"
	err := h.lab.sw.do(func() error {
		first, err := netlink.LinkByName(h.ports[0])
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, first.Attrs().MTU
		bond := netlink.NewLinkBond(attrs)
		bond.Mode, bond.LacpRate, bond.Miimon = netlink.BOND_MODE_802_3AD, netlink.BOND_LACP_RATE_FAST, 20
		if err := netlink.LinkAdd(bond); err != nil {
			return fmt.Errorf("add bond: %w", err)
		}
		for _, port := range h.ports {
			if err := moveToBond(port, bond); err != nil {
				return fmt.Errorf("%s: %w", port, err)
			}
		}
		if err := netlink.LinkSetMasterByIndex(bond, first.Attrs().MasterIndex); err != nil {
			return fmt.Errorf("join the bridge: %w", err)
		}
		return netlink.LinkSetUp(bond)
	})
	if err != nil {
		return fmt.Errorf("join the ports of %s: %w", h.Name, err)
	}
	h.ports = []string{name}
	return nil
}

// moveToBond takes a port off its bridge and makes it a member, which has to be down for that.
func moveToBond(port string, bond *netlink.Bond) error {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetDown(link); err != nil {
		return fmt.Errorf("set down: %w", err)
	}
	if err := netlink.LinkSetNoMaster(link); err != nil {
		return fmt.Errorf("leave the bridge: %w", err)
	}
	if err := netlink.LinkSetMaster(link, bond); err != nil {
		return fmt.Errorf("join the bond: %w", err)
	}
	return netlink.LinkSetUp(link)
}
