// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hafast/internal/config"
	"hafast/pkg/loader"
)

func (c *checker) kernel() {
	release, err := c.env.Release()
	if err != nil {
		c.warning("", fmt.Sprintf("kernel release cannot be read: %v", err), "run hafast check on the host itself")
		return
	}
	major, minor, ok := parseRelease(release)
	if ok && (major < loader.FloorMajor || (major == loader.FloorMajor && minor < loader.FloorMinor)) {
		c.warning("", fmt.Sprintf("kernel %s is older than %d.%d", release, loader.FloorMajor, loader.FloorMinor), "upgrade: hafast is not tested with it")
	}
	if err := c.env.PIDFD(); err != nil && c.cfg.HAProxy.Mode != config.HAProxyOff {
		c.problem("haproxy", fmt.Sprintf("pidfd_open does not work: %v", err), "use Linux 5.3 or later without a filter on it, or watch haproxy by a script and set haproxy: off")
	}
}

// parseRelease reads major and minor off "6.1.0-18-amd64".
func parseRelease(release string) (major, minor int, ok bool) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	digits := func(s string) string {
		if end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			return s[:end]
		}
		return s
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(digits(parts[1]))
	return major, minor, err == nil
}

func (c *checker) privileges() {
	const grant = "run as root, or give the service that capability (AmbientCapabilities= of systemd)"
	for _, need := range []struct {
		capability int
		name, what string
		mend       string
		warning    bool
		unneeded   bool
	}{
		{capability: unix.CAP_NET_ADMIN, name: "CAP_NET_ADMIN", what: "addresses cannot be moved", mend: grant},
		{capability: unix.CAP_NET_RAW, name: "CAP_NET_RAW", what: "adverts can be neither sent nor heard", mend: grant},
		{
			capability: unix.CAP_SYS_NICE, name: "CAP_SYS_NICE", what: "the daemon cannot go before other processes",
			mend: "run as root, or set nice: 0", warning: true, unneeded: c.cfg.Nice >= 0,
		},
		{capability: unix.CAP_IPC_LOCK, name: "CAP_IPC_LOCK", what: "a takeover may have to wait for the disk", mend: grant, warning: true},
		{
			capability: unix.CAP_BPF, name: "CAP_BPF", what: "the XDP program cannot be loaded",
			mend: grant + ", or set xdp: off", unneeded: !c.steers() || c.capable(unix.CAP_SYS_ADMIN),
		},
		{
			// To open an object by its number asks for it, whatever CAP_BPF allows.
			capability: unix.CAP_SYS_ADMIN, name: "CAP_SYS_ADMIN", what: "the data path of a former daemon cannot be taken over, as at an upgrade",
			mend: grant, warning: true, unneeded: !c.steers() || !c.capable(unix.CAP_BPF),
		},
		{
			capability: unix.CAP_SYS_PTRACE, name: "CAP_SYS_PTRACE", what: "what haproxy listens on cannot be found out if it runs as another user",
			mend: grant + ", or write services: by hand", warning: true,
			unneeded: !c.steers() || len(c.cfg.Services) > 0 || c.cfg.HAProxy.Mode == config.HAProxyOff,
		},
	} {
		has, err := c.env.Capable(need.capability)
		if err != nil {
			c.warning("", fmt.Sprintf("capabilities cannot be read: %v", err), "run hafast check as root")
			return
		}
		if !has && !need.unneeded {
			c.add("", Problem{Text: fmt.Sprintf("%s is missing: %s", need.name, need.what), Mend: need.mend, Warning: need.warning})
		}
	}
}

// capable is false where it cannot be found out, which privileges reports.
func (c *checker) capable(capability int) bool {
	has, err := c.env.Capable(capability)
	return has && err == nil
}

// sysctls checks values that hafast does not set itself, or cannot override: the
// kernel takes the greater of conf.all and conf.DEVICE for arp_ignore and rp_filter.
func (c *checker) sysctls() {
	devices := c.devices()
	for _, device := range append([]string{"all"}, devices.v4...) {
		if v, ok := c.sysctl("net/ipv4/conf/" + device + "/arp_ignore"); ok && v > 1 {
			c.warning("interface", fmt.Sprintf("net.ipv4.conf.%s.arp_ignore is %d: ARP for a VIP may go unanswered", device, v),
				fmt.Sprintf("sysctl -w net.ipv4.conf.%s.arp_ignore=1, as hafast needs it", device))
		}
	}
	if len(devices.v4) > 1 {
		for _, device := range append([]string{"all"}, devices.v4...) {
			if v, ok := c.sysctl("net/ipv4/conf/" + device + "/rp_filter"); ok && v == 1 {
				c.warning("interface", fmt.Sprintf("net.ipv4.conf.%s.rp_filter is 1: with several interfaces it drops what comes in by another way than it goes out", device),
					fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2 where the ways differ", device))
			}
		}
	}
	if len(devices.v6) == 0 {
		return
	}
	for _, device := range append(devices.v6, "lo") {
		if v, ok := c.sysctl("net/ipv6/conf/" + device + "/disable_ipv6"); ok && v != 0 {
			c.problem("interface", fmt.Sprintf("net.ipv6.conf.%s.disable_ipv6 is %d, and there are IPv6 VIPs", device, v),
				fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=0", device))
		}
	}
}

// used are the interfaces of each family, sorted.
type used struct{ v4, v6 []string }

func (c *checker) devices() used {
	var u used
	for i := range c.cfg.Instances {
		inst := &c.cfg.Instances[i]
		list := &u.v4
		if isV6(inst) {
			list = &u.v6
		}
		*list = append(*list, inst.Interface)
		for _, vip := range inst.VIPs {
			*list = append(*list, vip.Interface)
		}
	}
	for _, list := range []*[]string{&u.v4, &u.v6} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return u
}

// sysctl reads a number. What cannot be read is no finding: the interface may be
// missing, which network reports.
func (c *checker) sysctl(path string) (int, bool) {
	text, err := c.env.Sysctl(path)
	if err != nil {
		return 0, false
	}
	v, err := strconv.Atoi(strings.TrimSpace(text))
	return v, err == nil
}
