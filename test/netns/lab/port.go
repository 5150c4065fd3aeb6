package lab

import (
	"context"
	"fmt"
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
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "lab_port",
		Type: ebpf.XDP,
		// Without this flag (Linux 5.18) the kernel would cap the MTU of the hosts.
		Flags:        unix.BPF_F_XDP_HAS_FRAGS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
		License:      "GPL",
	})
	if err != nil {
		return nil, fmt.Errorf("load the ports' XDP program: %w", err)
	}
	return pass, nil
}

// plug lays the cable: one end named after the host on the bridge, the other
// named eth0 in the host. It runs outside of both.
func (l *Lab) plug(h *Host) error {
	err := l.sw.do(func() error {
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		port := &netlink.Veth{
			LinkAttrs:        netlink.LinkAttrs{Name: h.Name, MasterIndex: bridge.Attrs().Index},
			PeerName:         Interface,
			PeerHardwareAddr: h.MAC,
			PeerNamespace:    netlink.NsFd(int(h.ns.file.Fd())),
		}
		if err := netlink.LinkAdd(port); err != nil {
			return fmt.Errorf("add veth: %w", err)
		}
		// Attached by netlink, it goes when the port goes.
		if err := netlink.LinkSetXdpFdWithFlags(port, l.pass.FD(), unix.XDP_FLAGS_DRV_MODE); err != nil {
			return fmt.Errorf("attach XDP: %w", err)
		}
		return netlink.LinkSetUp(port)
	})
	if err != nil {
		return fmt.Errorf("plug %s into the switch: %w", h.Name, err)
	}
	return l.disableGRO(h)
}

// disableGRO makes the port pass frames on as they came. XDP has turned GRO on, and a
// switch that merges frames would hand hosts some that no wire carries, too long for
// them to send on.
func (l *Lab) disableGRO(h *Host) error {
	cmd := exec.CommandContext(context.Background(), "nsenter", "--net="+l.sw.path(), "--", "ethtool", "-K", h.Name, "gro", "off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("turn GRO off on port %s: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
