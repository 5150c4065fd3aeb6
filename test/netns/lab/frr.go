// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// Where Debian's frr package keeps its daemons, and where they keep a directory
// each for crash logs.
const (
	frrDir      = "/usr/lib/frr"
	frrCrashDir = "/var/tmp/frr"
)

// FRR runs FRRouting's vrrpd, with the zebra that it changes interfaces through.
//
// FRR moves no addresses. They are on a macvlan device with the virtual MAC
// all the time, and a router that is not Active keeps that device protodown,
// which is to have no carrier. So vrrpd killed with SIGKILL leaves a host
// that goes on answering.
type FRR struct {
	daemons
	// VRID, Addresses, Priority and Interval are the virtual router's; the addresses
	// are of one family, and for IPv6 the first is a link-local one.
	VRID      uint8
	Addresses []netip.Addr
	Priority  func(*Host) int
	// Interval is the advertisement interval in milliseconds.
	Interval int
}

// Name implements System.
func (f *FRR) Name() string { return "frr" }

// Version implements System.
func (f *FRR) Version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, filepath.Join(frrDir, "vrrpd"), "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil || line == "" {
		return "frr, version unknown"
	}
	return line
}

// InstalledFRR names the programs that FRR needs, for [SkipUnlessInstalled].
func InstalledFRR() []string {
	return []string{filepath.Join(frrDir, "zebra"), filepath.Join(frrDir, "vrrpd"), "vtysh"}
}

// VirtualMAC is what answers for the addresses on the Active host: RFC 9568
// section 7.3.
func (f *FRR) VirtualMAC() net.HardwareAddr {
	family := byte(1)
	if f.ipv6() {
		family = 2
	}
	return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, family, f.VRID}
}

// Start implements System. The zebra of an earlier start is used again: it keeps the
// device down that vrrpd left so.
func (f *FRR) Start(ctx context.Context, h *Host) error {
	if err := f.prepare(h); err != nil {
		return fmt.Errorf("macvlan for vrrpd on %s: %w", h.Name, err)
	}
	if err := f.startZebra(ctx, h); err != nil {
		return err
	}
	config := h.Path("vrrpd.conf")
	if err := os.WriteFile(config, []byte(f.config(h)), 0o644); err != nil {
		return err
	}
	argv := f.argv(h, "vrrpd", config)
	if err := f.start(h, "vrrpd", argv...); err != nil {
		return err
	}
	h.lab.onClose(removeCrashDir("vrrpd", f.Proc(h)))
	return nil
}

// State implements System.
func (f *FRR) State(ctx context.Context, h *Host) State {
	if !f.running(h) {
		return StateGone
	}
	out, err := h.Command(ctx, "vtysh", "--vty_socket", f.runDir(h), "-d", "vrrpd", "-c", "show vrrp json").Output()
	if err != nil {
		return StateInit
	}
	type family struct {
		Status string `json:"status"`
	}
	var routers []struct {
		V4 family `json:"v4"`
		V6 family `json:"v6"`
	}
	if json.Unmarshal(out, &routers) != nil || len(routers) != 1 {
		return StateInit
	}
	status := routers[0].V4.Status
	if f.ipv6() {
		status = routers[0].V6.Status
	}
	switch status {
	case "Master":
		return StateActive
	case "Backup":
		return StateBackup
	default:
		return StateInit
	}
}

func (f *FRR) ipv6() bool { return f.Addresses[0].Is6() }

func (f *FRR) device() string {
	if f.ipv6() {
		return fmt.Sprintf("vrrp6-%d", f.VRID)
	}
	return fmt.Sprintf("vrrp4-%d", f.VRID)
}

// runDir is where the host's FRR daemons keep sockets and pidfiles.
func (f *FRR) runDir(h *Host) string { return h.Path("frr") }

func (f *FRR) config(h *Host) string {
	var b strings.Builder
	b.WriteString("debug vrrp protocol\ndebug vrrp packets\n")
	fmt.Fprintf(&b, "interface %s\n", Interface)
	fmt.Fprintf(&b, " vrrp %d version 3\n", f.VRID)
	fmt.Fprintf(&b, " vrrp %d priority %d\n", f.VRID, f.Priority(h))
	fmt.Fprintf(&b, " vrrp %d advertisement-interval %d\n", f.VRID, f.Interval)
	keyword := "ip"
	if f.ipv6() {
		keyword = "ipv6"
	}
	for _, a := range f.Addresses {
		fmt.Fprintf(&b, " vrrp %d %s %s\n", f.VRID, keyword, a)
	}
	return b.String()
}

// argv runs an FRR daemon as root, whom the host's directory belongs to, with
// the group that the daemons insist on for their sockets.
func (f *FRR) argv(h *Host, daemon, config string) []string {
	dir := f.runDir(h)
	return []string{
		filepath.Join(frrDir, daemon), "-u", "root", "-g", "frrvty", "-P", "0", "--log", "stdout",
		"-z", filepath.Join(dir, "zserv.api"), "--vty_socket", dir,
		"-i", filepath.Join(dir, daemon+".pid"), "-f", config,
	}
}

func (f *FRR) startZebra(ctx context.Context, h *Host) error {
	dir := f.runDir(h)
	socket := filepath.Join(dir, "zserv.api")
	answers := func() bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
	if answers() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := h.Path("zebra.conf")
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		return err
	}
	zebra, err := h.Start("zebra", f.argv(h, "zebra", config)...)
	if err != nil {
		return err
	}
	h.lab.onClose(removeCrashDir("zebra", zebra))
	return Eventually(ctx, "zebra to answer on "+h.Name, answers)
}

// prepare makes the macvlan device that FRR expects to find.
func (f *FRR) prepare(h *Host) error {
	return h.Do(func() error {
		if _, err := netlink.LinkByName(f.device()); err == nil {
			return nil
		} else if !errors.As(err, new(netlink.LinkNotFoundError)) {
			return err
		}
		// Else eth0 would answer for the macvlan's addresses too, in all states.
		if err := writeSysctl("net.ipv4.conf."+Interface+".arp_ignore", "1"); err != nil {
			return err
		}
		parent, err := netlink.LinkByName(Interface)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = f.device(), parent.Attrs().Index, f.VirtualMAC()
		device := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
		if err := netlink.LinkAdd(device); err != nil {
			return err
		}
		// FRR sends IPv6 adverts from the device's own link-local address. One made
		// from the virtual MAC would be the same on all hosts.
		if err := writeSysctl("net.ipv6.conf."+f.device()+".addr_gen_mode", "3"); err != nil {
			return err
		}
		for _, a := range f.Addresses {
			if err := netlink.AddrAdd(device, addrFor(netip.PrefixFrom(a, a.BitLen()))); err != nil {
				return fmt.Errorf("add address %s: %w", a, err)
			}
		}
		// The own link-local address comes with this. Being the youngest, it is
		// listed first, and FRR takes the first one.
		return netlink.LinkSetUp(device)
	})
}

// removeCrashDir removes what an FRR daemon that gave up its rights cannot
// remove itself.
func removeCrashDir(daemon string, p *Proc) func() error {
	return func() error {
		p.Kill()
		return os.RemoveAll(filepath.Join(frrCrashDir, daemon+"."+strconv.Itoa(p.PID())))
	}
}
