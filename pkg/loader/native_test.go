// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

func TestObstacles(t *testing.T) {
	well := nic{name: "eth0", driver: "ena", mtu: 1500, page: 4096, queues: 4, maxQueues: 8, cpus: 4}
	for _, test := range []struct {
		name  string
		spoil func(*nic)
		want  []string
	}{
		{"nothing", func(*nic) {}, nil},
		{"the longest frame", func(n *nic) { n.mtu = 3498 }, nil},
		{"LRO", func(n *nic) { n.lro = true }, []string{"LRO is on (ethtool -K eth0 lro off)"}},
		{"GRO_HW", func(n *nic) { n.hwGRO = true }, []string{"GRO_HW is on (ethtool -K eth0 rx-gro-hw off)"}},
		{"GRO_HW of virtio", func(n *nic) { n.hwGRO, n.driver = true, "virtio_net" }, []string{
			"GRO_HW is on (ethtool -K eth0 rx-gro-hw off; if that is fixed, the hypervisor has to: ctrl_guest_offloads=on, or guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off of virtio-net)",
		}},
		{"jumbo frames", func(n *nic) { n.mtu = 9000 }, []string{
			"MTU 9000 is more than fits a page (ip link set dev eth0 mtu 3498, or Linux 5.18 or later)",
		}},
		{"jumbo frames in several buffers", func(n *nic) { n.mtu, n.frames = 9000, true }, []string{
			"MTU 9000 is more than fits a page, which not every driver takes (ip link set dev eth0 mtu 3498)",
		}},
		{"queues", func(n *nic) { n.queues = 8 }, []string{
			"8 of 8 queues are in use, and the program wants one more for each of 4 processors (ethtool -L eth0 combined 4)",
		}},
		{"too few queues", func(n *nic) { n.queues, n.maxQueues = 1, 1 }, []string{
			"1 of 1 queues are in use, and the program wants one more for each of 4 processors (give the machine more queues, or fewer processors)",
		}},
		{"too few queues of virtio", func(n *nic) { n.queues, n.maxQueues, n.driver = 1, 1, "virtio_net" }, nil},
		{"all but unknown", func(n *nic) { *n = nic{name: "eth0", page: 4096, lro: true} }, []string{"LRO is on (ethtool -K eth0 lro off)"}},
	} {
		n := well
		test.spoil(&n)
		if got := n.obstacles(); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNeverNative(t *testing.T) {
	fixed := nic{name: "eth0", driver: "virtio_net", hwGRO: true, hwGROFixed: true}
	changed, off, other := fixed, fixed, fixed
	changed.hwGROFixed, off.hwGRO, other.driver = false, false, "ena"
	for _, test := range []struct {
		name string
		nic  nic
		want bool
	}{
		{"a hypervisor that merges segments", fixed, true},
		{"one that lets the driver stop it", changed, false},
		{"one that does not merge", off, false},
		{"another driver", other, false},
	} {
		if got := test.nic.neverNative(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRefusalInWords(t *testing.T) {
	plain := nic{name: "eth0", driver: "d", page: 4096}
	lro, jumbo := plain, plain
	lro.lro, jumbo.mtu = true, 9000
	for _, test := range []struct {
		nic  nic
		said string
		err  error
		want string
	}{
		{plain, "", unix.EOPNOTSUPP, "the driver of eth0 (d) has no native XDP"},
		{plain, "", unix.ENOMEM, "the driver of eth0 (d) has no queues or memory left for native XDP"},
		{plain, "", unix.EINVAL, "the driver of eth0 (d) refuses native XDP"},
		{plain, "no", unix.EOPNOTSUPP, `the driver of eth0 (d) has no native XDP: it says "no"`},
		{jumbo, "", unix.EINVAL, "the driver of eth0 (d) refuses native XDP; likely since MTU 9000 is more than fits a page (ip link set dev eth0 mtu 3498, or Linux 5.18 or later)"},
		{jumbo, "no", unix.EINVAL, `the driver of eth0 (d) refuses native XDP: it says "no"`},
		{lro, "", unix.EOPNOTSUPP, "the driver of eth0 (d) has no native XDP; likely since LRO is on (ethtool -K eth0 lro off)"},
		{lro, "no", unix.EINVAL, `the driver of eth0 (d) refuses native XDP: it says "no"; likely since LRO is on (ethtool -K eth0 lro off)`},
	} {
		if got := test.nic.refusal(test.said, test.err); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestDriversOwnWords: a veth takes no native program while its peer sends by more queues
// than it has, and says so; a bridge takes none at all, and the kernel says so for it.
func TestDriversOwnWords(t *testing.T) {
	dir := lab(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "narrow", 1, 1
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNumTxQueues, veth.PeerNumRxQueues = "wide", 4, 1
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	attrs = netlink.NewLinkAttrs()
	attrs.Name = "br0"
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	for device, want := range map[string]string{
		"narrow": "XDP expects number of rx queues not less than peer tx queues",
		"br0":    "does not support XDP",
	} {
		_, err := d.Attach(device, ModeNative)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", device, err, want)
		}
		if id := programOn(t, device); id != 0 {
			t.Errorf("%s runs program %d", device, id)
		}
	}
	// A program that is taken by this way after all does not stay.
	nstest.Veth(t, "a", "b")
	at, err := lookUpInterface("a")
	if err != nil {
		t.Fatal(err)
	}
	if said := d.driverSays(at, unix.EOPNOTSUPP); said != "" || programOn(t, "a") != 0 {
		t.Errorf("the driver says %q, program %d", said, programOn(t, "a"))
	}
	if a := attach(t, d, "a", ModeNative); a.Mode != ModeNative {
		t.Errorf("got %+v", a)
	}
}

func TestReadNIC(t *testing.T) {
	nstest.Enter(t)
	nstest.Veth(t, "a", "b")
	n := readNIC("a", true)
	if n.driver != "veth" || n.mtu != 1500 || n.cpus < 1 || n.lro || n.hwGRO || n.maxQueues != 0 {
		t.Errorf("got %+v", n)
	}
	k, err := probeKernel()
	if err != nil {
		t.Fatal(err)
	}
	// A veth says how many queues it has since Linux 5.13.
	if c := readChannels("a"); k.frames && c.MaxTx == 0 || c != (channels{}) && (c.MaxTx < 1 || c.UsedTx < 1 || c.UsedRx < 1 || c.MaxCombined != 0) {
		t.Errorf("queues %+v", c)
	}
	if names := featureNames("a"); !slices.Contains(names, "rx-gro") {
		t.Errorf("features %q", names)
	}
	if n := readNIC("none", true); n.mtu != 0 || n.maxQueues != 0 || n.lro {
		t.Errorf("of an interface that is not there: %+v", n)
	}
}

func TestVerdict(t *testing.T) {
	answer := append([]byte{0xa1, 0xff, 0xff, 0xff}, make([]byte, unix.SizeofNlMsghdr)...) // -EOPNOTSUPP
	words := append([]byte{8, 0, unix.NLMSGERR_ATTR_MSG, 0}, "no\x00\x00"...)
	for _, test := range []struct {
		flags  uint16
		answer []byte
		errno  unix.Errno
		said   string
	}{
		{0, answer, unix.EOPNOTSUPP, ""},
		{unix.NLM_F_ACK_TLVS, append(slices.Clone(answer), words...), unix.EOPNOTSUPP, "no"},
		{unix.NLM_F_ACK_TLVS, append(slices.Clone(answer), 99, 0, 1, 0), unix.EOPNOTSUPP, ""},
		{0, answer[:4], unix.EIO, ""},
	} {
		if errno, said := verdict(test.flags, test.answer); !errors.Is(errno, test.errno) || said != test.said {
			t.Errorf("%x: %v %q, want %v %q", test.answer, errno, said, test.errno, test.said)
		}
	}
}
