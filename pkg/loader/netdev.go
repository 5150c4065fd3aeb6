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
	return at, nil
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
