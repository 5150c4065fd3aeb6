// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// networkInterface is an interface and the XDP program that it runs.
type networkInterface struct {
	name    string
	index   int
	program ebpf.ProgramID // 0: none
	mode    Mode           // of that program
	// generic says why native mode is not for this interface though its driver has it; empty
	// if it is.
	generic string
}

func lookUpInterface(name string) (networkInterface, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return networkInterface{}, fmt.Errorf("find the interface: %w", err)
	}
	at := networkInterface{name: name, index: l.Attrs().Index}
	if xdp := l.Attrs().Xdp; xdp != nil && xdp.Attached {
		at.program = ebpf.ProgramID(xdp.ProgId)
		at.mode = ModeNative
		if xdp.AttachMode == nl.XDP_ATTACHED_SKB {
			at.mode = ModeGeneric
		}
	}
	if at.generic, err = hidden(l); err != nil {
		return networkInterface{}, err
	}
	return at, nil
}

// hidden says what native mode would not see of an interface's frames and lose when it
// sends them on; empty if nothing. In generic mode it travels beside the frame.
func hidden(l netlink.Link) (string, error) {
	if l.Type() == "veth" {
		// And what native mode sends is dropped unless the far end runs a program as well.
		return "native mode on a veth loses the checksums that senders on this machine leave to the wire", nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	for _, other := range links {
		if other.Type() == "vlan" && other.Attrs().ParentIndex == l.Attrs().Index && other.Attrs().NetNsID < 0 {
			return fmt.Sprintf("native mode may lose the tags of %s, which the network card takes off", other.Attrs().Name), nil
		}
	}
	return "", nil
}

// interfaceName is empty if there is no such interface here.
func interfaceName(index int) string {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return ""
	}
	return l.Attrs().Name
}

// Driver is the name of an interface's driver, for a message; "unknown" if it cannot be
// found out.
func Driver(device string) string {
	const unknown = "unknown"
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return unknown
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, device)
	if err != nil {
		return unknown
	}
	return unix.ByteSliceToString(info.Driver[:])
}
