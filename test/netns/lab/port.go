// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// xdpPass is XDP_PASS of enum xdp_action (linux/bpf.h).
const xdpPass = 2

// newPassProgram loads the program of the switch's ports: every frame goes on its
// way. It is there for what comes along with it. A frame that a host's XDP program
// sends back (XDP_TX) arrives at the other end of the veth as a bare frame,
// which that end can only take with XDP running there; otherwise it is lost, and
// nothing but a counter of ethtool's (rx_queue_0_xdp_tx_errors) tells.
func newPassProgram() (*ebpf.Program, error) {
	pass, err := loadForPort("lab_port", asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
	if err != nil {
		return nil, fmt.Errorf("load the ports' XDP program: %w", err)
	}
	return pass, nil
}

// loadForPort loads a program that takes frames of any length. Before Linux 5.18 there are no
// such: the kernel then caps the MTU of hosts whose ports run it.
func loadForPort(name string, instructions asm.Instructions) (*ebpf.Program, error) {
	spec := &ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, Flags: unix.BPF_F_XDP_HAS_FRAGS, Instructions: instructions, License: "GPL"}
	program, err := ebpf.NewProgram(spec)
	if errors.Is(err, unix.EINVAL) {
		spec.Flags = 0
		return ebpf.NewProgram(spec)
	}
	return program, err
}

// cable joins an interface of a host to a bridge of the switch.
type cable struct {
	// port and bridge are the switch's side, iface and mac the host's.
	port, bridge string
	iface        string
	mac          net.HardwareAddr
}

// plug lays the cable of eth0: one end named after the host on the bridge, the other
// in the host.
func (l *Lab) plug(h *Host) error {
	return l.lay(h, cable{port: h.Name, bridge: cmp.Or(h.spec.bridge, bridgeName), iface: Interface, mac: h.MAC})
}

// lay lays a cable. It runs outside of both the switch and the host.
func (l *Lab) lay(h *Host, c cable) error {
	err := l.sw.do(func() error {
		bridge, err := netlink.LinkByName(c.bridge)
		if err != nil {
			return err
		}
		port := &netlink.Veth{
			LinkAttrs:        netlink.LinkAttrs{Name: c.port, MasterIndex: bridge.Attrs().Index, MTU: l.opts.MTU},
			PeerName:         c.iface,
			PeerHardwareAddr: c.mac,
			PeerNamespace:    netlink.NsFd(int(h.ns.file.Fd())),
		}
		if err := netlink.LinkAdd(port); err != nil {
			return fmt.Errorf("add veth: %w", err)
		}
		if l.opts.Plain {
			return netlink.LinkSetUp(port)
		}
		// Attached by netlink, it goes when the port goes.
		if err := netlink.LinkSetXdpFdWithFlags(port, l.pass.FD(), unix.XDP_FLAGS_DRV_MODE); err != nil {
			return fmt.Errorf("attach XDP: %w", err)
		}
		return netlink.LinkSetUp(port)
	})
	if err != nil {
		return fmt.Errorf("plug %s into the switch: %w", c.port, err)
	}
	if l.opts.Plain {
		return nil
	}
	return l.disableGRO(c.port)
}

// StripPort takes the program off the host's port, as whoever else manages the far end of a
// wire may do.
func (h *Host) StripPort() error {
	return h.lab.sw.do(func() error {
		port, err := netlink.LinkByName(h.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(port, -1, unix.XDP_FLAGS_DRV_MODE)
	})
}

// DressPort undoes StripPort.
func (h *Host) DressPort() error {
	return h.lab.sw.do(func() error {
		port, err := netlink.LinkByName(h.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(port, h.lab.pass.FD(), unix.XDP_FLAGS_DRV_MODE)
	})
}

// disableGRO makes the port pass frames on as they came. XDP has turned GRO on, and a
// switch that merges frames would hand hosts some that no wire carries, too long for
// them to send on.
func (l *Lab) disableGRO(port string) error {
	cmd := exec.CommandContext(context.Background(), "nsenter", "--net="+l.sw.path(), "--", "ethtool", "-K", port, "gro", "off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("turn GRO off on port %s: %w: %s", port, err, strings.TrimSpace(string(out)))
	}
	return nil
}
