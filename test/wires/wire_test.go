package wires_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

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
	// the host's address. Without any, the wire is the lab's own.
	lay []string
	// iface carries the VIP, and vip is it. Both are the lab's where lay is empty.
	iface string
	vip   netip.Addr
	// network is a format with which the last byte of a host's address makes the address,
	// of iface.
	network string
	// config is added to the configuration.
	config string
	// alone: frames of one host do not arrive at the other as they ought to, so that new
	// flows stay on the host that they arrive at.
	alone bool
}

// own is a network of the wire's own.
const (
	own4 = "10.7.0.%d"
	own6 = "fd00:7::%d"
)

var (
	vip4 = netip.MustParseAddr("10.7.0.250")
	vip6 = netip.MustParseAddr("fd00:7::250")
)

// laid is a wire with a network of its own over the lab's.
func laid(name, link, iface string, lay ...string) wire {
	lay = append(lay, fmt.Sprintf("ip link set %s up", iface), fmt.Sprintf("ip addr add %s/24 dev %s", strings.ReplaceAll(own4, "%d", "%[1]d"), iface))
	return wire{name: name, link: link, lay: lay, iface: iface, vip: vip4, network: own4}
}

func with(w wire, changes ...func(*wire)) wire {
	for _, change := range changes {
		change(&w)
	}
	return w
}

func plain(w *wire) { w.options.Plain = true }

func wires() []wire {
	const vlan = "ip link add link eth0 name eth0.7 type vlan id 7"
	// Other modes want a switch that knows of the bond.
	bond := []string{
		"ip link add bond0 type bond mode active-backup miimon 20",
		"ip link set eth0 down", "ip addr flush dev eth0", "ip link set eth0 master bond0",
		"ip link set eth1 down", "ip link set eth1 master bond0",
	}
	two := func(w *wire) { w.options.SecondCable = true }
	bridge := []string{"ip link add br-ex type bridge mcast_snooping 0 forward_delay 0", "ip addr flush dev eth0", "ip link set eth0 master br-ex", "ip link set br-ex address 02:07:00:00:00:%02[1]x"}
	return []wire{
		{name: "network card"},
		with(wire{name: "container"}, plain),
		with(wire{name: "container, native", config: "xdp: native\n", alone: true}, plain),
		{name: "checksums left to the wire", lay: []string{"ethtool -K eth0 tx on"}, iface: "eth0", vip: lab.VIP, network: "10.224.147.%d"},
		with(laid("VLAN", "vlan", "eth0.7", vlan), plain),
		with(laid("VLAN, tags left in the frame", "vlan", "eth0.7", "ethtool -K eth0 rxvlan off txvlan off", vlan), plain),
		with(laid("bond, active-backup", "bond", "bond0", bond...), two),
		with(laid("bridge", "bridge", "br-ex", bridge...), plain),
		with(laid("macvlan", "macvlan", "mv0", "ip link add mv0 link eth0 type macvlan mode bridge"), plain),
		// An ipvlan looks at the IP header of what it sends, and takes it elsewhere.
		with(laid("ipvlan", "ipvlan", "iv0", "ip link add iv0 link eth0 type ipvlan mode l2"), plain, func(w *wire) { w.alone = true }),
		with(laid("vxlan", "vxlan", "vx0", "ip link add vx0 type vxlan id 7 group 239.7.7.7 dev eth0 dstport 4789"), plain),
		with(laid("IPv6 alone", "veth", "eth0", "ip addr flush dev eth0 scope global", "ip addr add fd00:7::%[1]d/64 dev eth0 nodad"), func(w *wire) {
			w.lay = w.lay[:2]
			w.vip, w.network = vip6, own6
		}),
		{name: "MTU 9000", options: lab.Options{MTU: 9000}, lay: []string{"ip link set eth0 mtu 9000"}, iface: "eth0", vip: lab.VIP, network: "10.224.147.%d"},
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
