// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// nic is what drivers make native XDP depend on.
type nic struct {
	name, driver string
	mtu          int
	// page is the size of a page, which a frame has to fit beside XDP's headroom
	// unless the kernel has frames in several buffers.
	page   int
	frames bool
	// lro and hwGRO: the card joins frames to longer ones, which programs would not
	// see as they came.
	lro, hwGRO bool
	// hwGROFixed: nobody on this machine can switch hwGRO.
	hwGROFixed bool
	// queues that both send and receive, as drivers of cards have them: in use and at
	// most; 0 where the driver does not say.
	queues, maxQueues int
	cpus              int
}

// pageOverhead is what XDP and the kernel keep of a page: 256 bytes of headroom, 320 of
// skb_shared_info, and the frame's header with two tags.
const pageOverhead = 256 + 320 + 22

// obstacles lists what drivers commonly refuse native XDP for and this interface has,
// each with its remedy.
func (n nic) obstacles() (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if n.lro {
		say("LRO is on (ethtool -K %s lro off)", n.name)
	}
	if n.hwGRO {
		text := fmt.Sprintf("GRO_HW is on (ethtool -K %s rx-gro-hw off", n.name)
		if n.driver == "virtio_net" {
			text += "; if that is fixed, the hypervisor has to: ctrl_guest_offloads=on, or guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off of virtio-net"
		}
		say("%s)", text)
	}
	if most := n.page - pageOverhead; n.mtu > most && !n.frames {
		say("MTU %d is more than fits a page (ip link set dev %s mtu %d, or Linux 5.18 or later)", n.mtu, n.name, most)
	} else if n.mtu > most {
		say("MTU %d is more than fits a page, which not every driver takes (ip link set dev %s mtu %d)", n.mtu, n.name, most)
	}
	// A virtio card shares a queue among processors instead.
	if n.maxQueues > 0 && n.queues+n.cpus > n.maxQueues && n.driver != "virtio_net" {
		text := fmt.Sprintf("%d of %d queues are in use, and the program wants one more for each of %d processors", n.queues, n.maxQueues, n.cpus)
		if spare := n.maxQueues - n.cpus; spare > 0 {
			text += fmt.Sprintf(" (ethtool -L %s combined %d)", n.name, spare)
		} else {
			text += " (give the machine more queues, or fewer processors)"
		}
		say("%s", text)
	}
	return found
}

// neverNative reports whether the driver is sure to refuse native XDP on this interface: a
// virtio card whose hypervisor merges segments, and does not let the driver stop it.
func (n nic) neverNative() bool { return n.driver == "virtio_net" && n.hwGRO && n.hwGROFixed }

// NeverNative reports whether the interface's driver is sure to refuse native XDP, though it
// says that it has it. Obstacles has the reason.
func NeverNative(device string) bool { return readNIC(device, false).neverNative() }

// Obstacles lists what drivers commonly refuse native XDP for and this interface has,
// each with its remedy. What cannot be found out is left out.
func Obstacles(device string) []string {
	frames := false
	if k, err := probeKernel(); err == nil {
		frames = k.frames
	}
	return readNIC(device, frames).obstacles()
}

func readNIC(device string, frames bool) nic {
	n := nic{name: device, driver: Driver(device), page: os.Getpagesize(), frames: frames}
	if l, err := netlink.LinkByName(device); err == nil {
		n.mtu = l.Attrs().MTU
	}
	n.cpus, _ = ebpf.PossibleCPU()
	n.lro, n.hwGRO, n.hwGROFixed = offloads(device)
	c := readChannels(device)
	n.queues, n.maxQueues = int(c.UsedCombined), int(c.MaxCombined)
	return n
}

// ethtool asks an interface's driver; request begins with the command's number
// (linux/ethtool.h).
func ethtool(device string, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var ifreq struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // of the union, at its largest
	}
	copy(ifreq.name[:unix.IFNAMSIZ-1], device)
	ifreq.data = unsafe.Pointer(&request[0])
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return errno
	}
	return nil
}

// channels are the queues of an interface, as struct ethtool_channels of linux/ethtool.h
// has them.
type channels struct {
	_                                       uint32 // the command
	MaxRx, MaxTx, MaxOther, MaxCombined     uint32
	UsedRx, UsedTx, UsedOther, UsedCombined uint32
}

// readChannels returns zeros where the driver does not say.
func readChannels(device string) (c channels) {
	request := make([]byte, binary.Size(c))
	binary.NativeEndian.PutUint32(request, unix.ETHTOOL_GCHANNELS)
	if err := ethtool(device, request); err != nil {
		return channels{}
	}
	if _, err := binary.Decode(request, binary.NativeEndian, &c); err != nil {
		return channels{}
	}
	return c
}

// offloads reads whether the card joins frames, and whether that can be changed.
func offloads(device string) (lro, hwGRO, hwGROFixed bool) {
	names := featureNames(device)
	if len(names) == 0 {
		return false, false, false
	}
	// struct ethtool_gfeatures: cmd, the number of blocks of 32 features, and for each
	// block available, requested, active and never_changed.
	blocks := (len(names) + 31) / 32
	request := make([]byte, 8+16*blocks)
	binary.NativeEndian.PutUint32(request, unix.ETHTOOL_GFEATURES)
	binary.NativeEndian.PutUint32(request[4:], uint32(blocks))
	if err := ethtool(device, request); err != nil {
		return false, false, false
	}
	const available, activated = 0, 8
	is := func(what, i int) bool { return binary.NativeEndian.Uint32(request[8+16*(i/32)+what:])&(1<<(i%32)) != 0 }
	for i, name := range names {
		switch name {
		case "rx-lro":
			lro = is(activated, i)
		case "rx-gro-hw":
			hwGRO, hwGROFixed = is(activated, i), !is(available, i)
		}
	}
	return lro, hwGRO, hwGROFixed
}

// featureNames are the kernel's names of offloads, by their bits.
func featureNames(device string) []string {
	const (
		setFeatures = 4  // ETH_SS_FEATURES
		nameLen     = 32 // ETH_GSTRING_LEN
	)
	// struct ethtool_sset_info: cmd, reserved, a mask of 64 bits, a word for each of them.
	request := make([]byte, 8+8+4)
	binary.NativeEndian.PutUint32(request, unix.ETHTOOL_GSSET_INFO)
	binary.NativeEndian.PutUint64(request[8:], 1<<setFeatures)
	if err := ethtool(device, request); err != nil {
		return nil
	}
	count := int(binary.NativeEndian.Uint32(request[16:]))
	// struct ethtool_gstrings: cmd, the set, the number of strings, the strings.
	request = make([]byte, 12+nameLen*count)
	binary.NativeEndian.PutUint32(request, unix.ETHTOOL_GSTRINGS)
	binary.NativeEndian.PutUint32(request[4:], setFeatures)
	binary.NativeEndian.PutUint32(request[8:], uint32(count))
	if err := ethtool(device, request); err != nil {
		return nil
	}
	names := make([]string, count)
	for i := range names {
		names[i], _, _ = strings.Cut(string(request[12+nameLen*i:][:nameLen]), "\x00")
	}
	return names
}
