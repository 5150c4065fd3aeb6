// SPDX-License-Identifier: Apache-2.0

package wires_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf/features"

	"hafast/internal/control"
	"hafast/test/netns/lab"
)

// wire is a way to connect the hosts.
type wire struct {
	name string
	// options build the lab underneath.
	options lab.Options
	// link is the type of a link that the kernel must be able to make; empty: any can.
	link string
	// lay are the commands that each host runs, the client too. %[1]d is the last byte of
	// the host's address, and %[2]s the interface it has on a network of the guest's. Without
	// any, the wire is the lab's own.
	lay []string
	// networks are those with a VIP each; the lab's own where there are none. The first is
	// the one by which the hosts know each other.
	networks []network
	// prepare is run for each host before lay.
	prepare func(*lab.Host) error
	// ready is a command that each host has to answer with success before the wire is used.
	ready string
	// nics is a network of the guest's (package nics), of whose interfaces each host and the
	// client get one.
	nics string
	// mode is how 'xdp: auto' is to run; empty: it does not matter. In generic mode, reason
	// is a part of why.
	mode, reason string
	// config is added to the configuration.
	config string
	// alone: frames of one host do not arrive at the other as they ought to, so that new
	// flows stay on the host that they arrive at.
	alone bool
}

// network is an IP network on a wire, with a VIP in it.
type network struct {
	// iface carries the VIP. It is empty on a network of the guest's, where it differs by
	// host.
	iface string
	vip   netip.Addr
	// format makes a host's own address on iface of the last byte of its address in the lab.
	format string
}

// The networks of wires: the lab's own, and others beside it.
var (
	labs = network{iface: lab.Interface, vip: lab.VIP, format: "10.224.147.%d"}
	own4 = network{vip: netip.MustParseAddr("10.7.0.250"), format: "10.7.0.%d"}
	own6 = network{vip: netip.MustParseAddr("fd00:7::250"), format: "fd00:7::%d"}
)

func (n network) on(iface string) network {
	n.iface = iface
	return n
}

// laid is a wire with a network of its own over the lab's.
func laid(name, link, iface string, lay ...string) wire {
	lay = append(lay, fmt.Sprintf("ip link set %s up", iface), fmt.Sprintf("ip addr add %s/24 dev %s", strings.ReplaceAll(own4.format, "%d", "%[1]d"), iface))
	return wire{name: name, link: link, lay: lay, networks: []network{own4.on(iface)}}
}

func with(w wire, changes ...func(*wire)) wire {
	for _, change := range changes {
		change(&w)
	}
	return w
}

func plain(w *wire) { w.options.Plain = true }

// virtual is a wire of virtio interfaces that a guest of test/kernels has.
func virtual(name, nics, mode, reason string) wire {
	return wire{
		name: name, nics: nics, mode: mode, reason: reason, networks: []network{own4},
		lay: []string{"ip link set %[2]s up", "ip addr add 10.7.0.%[1]d/24 dev %[2]s"},
	}
}

// olderThan reports whether the running kernel is older than a version.
func olderThan(major, minor uint32) bool {
	version, err := features.LinuxVersionCode()
	return err == nil && version < major<<16|minor<<8
}

func wires() []wire {
	const vlan = "ip link add link eth0 name eth0.7 type vlan id 7"
	bond := func(mode string) []string {
		return []string{
			"ip link add bond0 type bond miimon 20 mode " + mode,
			"ip link set eth0 down", "ip addr flush dev eth0", "ip link set eth0 master bond0",
			"ip link set eth1 down", "ip link set eth1 master bond0",
		}
	}
	two := func(w *wire) { w.options.SecondCable = true }
	lacp := func(w *wire) {
		w.prepare = (*lab.Host).JoinPorts
		w.ready = `test "$(ip -d link show bond0 | grep -o 'ad_num_ports [0-9]*')" = "ad_num_ports 2"`
	}
	bridge := []string{"ip link add br-ex type bridge mcast_snooping 0 forward_delay 0", "ip addr flush dev eth0", "ip link set eth0 master br-ex", "ip link set br-ex address 02:07:00:00:00:%02[1]x"}
	return []wire{
		{name: "network card"},
		with(wire{name: "container"}, plain),
		with(wire{name: "container, native", config: "xdp: native\n", alone: true}, plain),
		{name: "checksums left to the wire", lay: []string{"ethtool -K eth0 tx on"}},
		with(laid("VLAN", "vlan", "eth0.7", vlan), plain),
		with(laid("VLAN, tags left in the frame", "vlan", "eth0.7", "ethtool -K eth0 rxvlan off txvlan off", vlan), plain),
		with(laid("eth0 and a VLAN on it, a VIP on each", "vlan", "eth0.7", vlan), plain, func(w *wire) {
			w.networks = append([]network{labs}, w.networks...)
		}),
		with(laid("bond, active-backup", "bond", "bond0", bond("active-backup")...), two),
		with(laid("bond, 802.3ad", "bond", "bond0", bond("802.3ad lacp_rate fast")...), two, lacp),
		with(laid("bridge", "bridge", "br-ex", bridge...), plain),
		with(laid("macvlan", "macvlan", "mv0", "ip link add mv0 link eth0 type macvlan mode bridge"), plain),
		// An ipvlan looks at the IP header of what it sends, and takes it elsewhere.
		with(laid("ipvlan", "ipvlan", "iv0", "ip link add iv0 link eth0 type ipvlan mode l2"), plain, func(w *wire) { w.alone = true }),
		with(laid("vxlan", "vxlan", "vx0", "ip link add vx0 type vxlan id 7 group 239.7.7.7 dev eth0 dstport 4789"), plain),
		with(laid("IPv6 alone", "veth", "eth0", "ip addr flush dev eth0 scope global", "ip addr add fd00:7::%[1]d/64 dev eth0 nodad"), func(w *wire) {
			w.lay = w.lay[:2]
			w.networks = []network{own6.on("eth0")}
		}),
		{name: "MTU 9000", options: lab.Options{MTU: 9000}, lay: []string{"ip link set eth0 mtu 9000"}},
		virtual("virtio, one queue", "one-queue", control.ModeNative, ""),
		virtual("virtio, several queues", "queues", control.ModeNative, ""),
		// The host merges segments, which native XDP cannot take, and no driver can stop it.
		virtual("virtio, no offload control", "no-offload-control", control.ModeGeneric, "has no native XDP"),
	}
}

// can skips a wire that the kernel cannot make.
func can(t *testing.T, h *lab.Host, link string) {
	t.Helper()
	if link == "" || link == "veth" {
		return
	}
	_, _ = exec.CommandContext(t.Context(), "modprobe", "-q", module(link)).CombinedOutput() // it may be built in
	var args []string
	switch link {
	case "vlan":
		args = []string{"link", "eth0", "name", "try0", "type", "vlan", "id", "9"}
	case "macvlan", "ipvlan":
		args = []string{"try0", "link", "eth0", "type", link}
	case "vxlan":
		args = []string{"try0", "type", "vxlan", "id", "9", "dev", "eth0", "dstport", "4789"}
	default:
		args = []string{"try0", "type", link}
	}
	if out, err := h.Run(t.Context(), "ip", append([]string{"link", "add"}, args...)...); err != nil {
		t.Skipf("this kernel has no links of type %s, which the guests of test/kernels have: %s", link, strings.TrimSpace(out))
	}
	if _, err := h.Run(t.Context(), "ip", "link", "del", "try0"); err != nil {
		t.Fatal(err)
	}
}

func module(link string) string {
	switch link {
	case "vlan":
		return "8021q"
	case "bond":
		return "bonding"
	}
	return link
}
