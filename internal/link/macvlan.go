// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenNone = 1

// MacvlanName is the name of the device that carries a virtual MAC: vrrp4.51,
// vrrp6.51.
func MacvlanName(ipv6 bool, vrid uint8) string {
	if ipv6 {
		return fmt.Sprintf("vrrp6.%d", vrid)
	}
	return fmt.Sprintf("vrrp4.%d", vrid)
}

// EnsureMacvlan makes sure that a macvlan device of that name stands on the
// parent, has the MAC address and is set up. A device that a killed predecessor
// left is taken over if it is the same and replaced if it is not; a device of
// another kind is left alone and is an error.
//
// The mode is VEPA, in which virtual routers on one parent do not talk to each
// other, but the parent hears what comes from their MACs: on a Backup these are
// the adverts of the Active, whose MAC is the same. In private mode the device
// would keep them to itself, and the Backup would hear nobody.
func (c *Conn) EnsureMacvlan(parent, name string, mac net.HardwareAddr) error {
	index, err := c.index(parent)
	if err != nil {
		return fmt.Errorf("create macvlan %s: parent: %w", name, err)
	}
	existing, err := c.macvlan(name)
	if err != nil {
		return err
	}
	if existing != nil && (existing.ParentIndex != index || existing.Mode != netlink.MACVLAN_MODE_VEPA || !bytes.Equal(existing.HardwareAddr, mac)) {
		if err := c.handle.LinkDel(existing); err != nil {
			return fmt.Errorf("replace macvlan %s: %w", name, err)
		}
		existing = nil
	}
	if existing == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = name, index, mac
		device := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_VEPA}
		if err := c.handle.LinkAdd(device); err != nil {
			return fmt.Errorf("create macvlan %s on %s: %w", name, parent, err)
		}
		if existing, err = c.macvlan(name); err != nil || existing == nil {
			return fmt.Errorf("create macvlan %s on %s: %w", name, parent, errors.Join(err, ErrNotFound))
		}
	}
	// A link-local address made from the virtual MAC would be the same on every
	// host of the group. Where IPv6 is turned off there is nothing to prevent.
	err = c.handle.LinkSetIP6AddrGenMode(existing, addrGenNone)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("set address generation of %s: %w", name, err)
	}
	if err := c.handle.LinkSetUp(existing); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// RemoveMacvlan removes the device; one that does not exist is fine.
func (c *Conn) RemoveMacvlan(name string) error {
	existing, err := c.macvlan(name)
	if existing == nil || err != nil {
		return err
	}
	if err := c.handle.LinkDel(existing); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove macvlan %s: %w", name, err)
	}
	return nil
}

// macvlan finds the device of that name; nil if there is none.
func (c *Conn) macvlan(name string) (*netlink.Macvlan, error) {
	l, err := c.handle.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read interface %s: %w", name, err)
	}
	device, ok := l.(*netlink.Macvlan)
	if !ok {
		return nil, fmt.Errorf("interface %s is in use by a device of type %s", name, l.Type())
	}
	return device, nil
}
