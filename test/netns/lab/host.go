// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface is the name of every host's network interface.
const Interface = "eth0"

// Host is one namespace of the lab.
type Host struct {
	Name string
	// Addr and Addr6 are the host's own addresses.
	Addr, Addr6 netip.Addr
	// MAC is eth0's hardware address.
	MAC net.HardwareAddr
	// Dir is for the host's files: pidfiles, sockets, configurations, logs.
	Dir string

	lab  *Lab
	ns   *namespace
	spec HostSpec
	// ports are the ports of the switch's bridges that the host is plugged into: eth0's has
	// the host's name and comes first.
	ports []string
	// dead says that it is dead to the others: see SilentDeath.
	dead atomic.Bool
	// sysctls are the values of those that daemons change, as the host was built.
	sysctls map[string]string

	mu      sync.Mutex
	procs   []*Proc
	haproxy *Proc
	// portSwitch is that of its port, nil until it is asked for.
	portSwitch *PortSwitch
	// cgroup is the control group of the host's haproxies, "" without a limit.
	cgroup string
}

// Lab returns the lab that the host is part of.
func (h *Host) Lab() *Lab { return h.lab }

// Namespace returns the name of the host's network namespace.
func (h *Host) Namespace() string { return h.ns.name }

// Path joins elements to the host's directory.
func (h *Host) Path(elem ...string) string {
	return filepath.Join(append([]string{h.Dir}, elem...)...)
}

// Do runs fn on a thread inside the host. Sockets that fn makes belong to the
// host for good, also when they are used later from outside. Fn must not start
// goroutines that expect to be inside, nor end its own (t.FailNow).
func (h *Host) Do(fn func() error) error { return h.ns.do(fn) }

// Command prepares a program to run inside the host, in a process group of its
// own that is killed as a whole when ctx ends.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.ns.path(), "--", name}, args...)...)
	cmd.Dir = h.Dir
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd
}

// Run runs a program inside the host to its end. The error holds its output.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := h.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s %s: %w: %s",
			h.Name, name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Dial opens a connection from inside the host. The address must be numeric.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener inside the host. The address must be numeric.
func (h *Host) Listen(ctx context.Context, network, address string) (ln net.Listener, err error) {
	err = h.Do(func() error {
		ln, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return ln, err
}

// HasAddr reports whether eth0 carries addr now.
func (h *Host) HasAddr(addr netip.Addr) bool { return h.HasAddrOn(Interface, addr) }

// HasAddrOn reports whether the link carries addr now.
func (h *Host) HasAddrOn(link string, addr netip.Addr) bool {
	addrs, err := h.Addrs(link)
	if err != nil {
		return false
	}
	for _, p := range addrs {
		if p.Addr() == addr {
			return true
		}
	}
	return false
}

// Addrs lists the addresses of a link, of both families.
func (h *Host) Addrs(link string) (prefixes []netip.Prefix, err error) {
	err = h.Do(func() error {
		nl, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(nl, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				ones, _ := a.Mask.Size()
				prefixes = append(prefixes, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
		return nil
	})
	return prefixes, err
}

// Sysctl reads a sysctl of the host, named as in net.ipv4.conf.eth0.arp_ignore.
func (h *Host) Sysctl(key string) (value string, err error) {
	err = h.Do(func() error {
		value, err = readSysctl(key)
		return err
	})
	return value, err
}

// SetSysctl sets one; only network sysctls belong to a namespace.
func (h *Host) SetSysctl(key, value string) error {
	return h.Do(func() error { return writeSysctl(key, value) })
}

// trackedSysctls are those that a daemon under test may change; Reset puts them back.
func trackedSysctls() []string {
	var keys []string
	for _, link := range []string{"all", "lo", Interface} {
		for _, name := range []string{"arp_ignore", "arp_announce", "arp_filter", "rp_filter", "accept_local"} {
			keys = append(keys, "net.ipv4.conf."+link+"."+name)
		}
	}
	return append(keys, "net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind")
}

// configure brings up a host that was just plugged in.
func (h *Host) configure() error {
	err := h.Do(func() error {
		settings := [][2]string{
			// A fresh address answers at once.
			{"net.ipv6.conf.all.accept_dad", "0"},
			{"net.ipv6.conf.default.accept_dad", "0"},
			{"net.ipv6.conf." + Interface + ".accept_dad", "0"},
			// A connection every millisecond leaves many ports in TIME_WAIT.
			{"net.ipv4.ip_local_port_range", "10000 65535"},
			{"net.ipv4.tcp_tw_reuse", "1"},
		}
		for _, s := range settings {
			if err := writeSysctl(s[0], s[1]); err != nil {
				return err
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return fmt.Errorf("set lo up: %w", err)
		}
		h.sysctls = make(map[string]string)
		for _, key := range trackedSysctls() {
			if h.sysctls[key], err = readSysctl(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(h.LinkUp(), h.disableChecksumOffload(Interface))
}

// disableChecksumOffload makes checksums whole. On veth they are partial: a packet
// that XDP turns around would leave with half of one.
func (h *Host) disableChecksumOffload(iface string) error {
	if h.lab.opts.Plain {
		return nil
	}
	_, err := h.Run(context.Background(), "ethtool", "-K", iface, "tx", "off")
	return err
}

// ownAddrs are the addresses of the host itself.
func (h *Host) ownAddrs() []netip.Prefix { return []netip.Prefix{h.spec.V4, h.spec.V6} }

// macFor derives a locally administered address that can be read in a capture:
// 02:00 and then the IPv4 address.
func macFor(addr netip.Addr) net.HardwareAddr {
	ip := addr.As4()
	return net.HardwareAddr{0x02, 0x00, ip[0], ip[1], ip[2], ip[3]}
}

func sysctlPath(key string) string {
	return "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
}

func readSysctl(key string) (string, error) {
	b, err := os.ReadFile(sysctlPath(key))
	return strings.TrimSpace(string(b)), err
}

func writeSysctl(key, value string) error {
	return os.WriteFile(sysctlPath(key), []byte(value), 0o644)
}

// killAll kills every process that was started in the host.
func (h *Host) killAll() {
	h.mu.Lock()
	procs := append([]*Proc(nil), h.procs...)
	h.procs, h.haproxy = nil, nil
	h.mu.Unlock()
	for _, p := range procs {
		p.Kill()
	}
}

// ipNet converts a prefix to what netlink wants, keeping the host bits.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// addrFor is the netlink form of an address that answers at once.
func addrFor(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

// isExist reports whether a netlink request failed because the thing is there already.
func isExist(err error) bool { return errors.Is(err, unix.EEXIST) }
