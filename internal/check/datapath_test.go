// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hafast/pkg/loader"
)

// fakeDataPath is a DataPath of literals. Its directories are on a BPF file system
// and its peers on the wire unless it says otherwise.
type fakeDataPath struct {
	lacks    []loader.Lack
	tryErr   error
	noBPFFS  bool
	private  bool // what is mounted there
	bpffsErr error
	xdp      map[string]XDP
	routed   []string // addresses behind a gateway
	routeErr error
	ways     []Leg
	waysErr  error
}

func (d *fakeDataPath) Legs(string) ([]Leg, error) { return d.ways, d.waysErr }

func (d *fakeDataPath) TryXDP() ([]loader.Lack, error) { return d.lacks, d.tryErr }

func (d *fakeDataPath) OnBPFFS(string) (bool, error) { return !d.noBPFFS, d.bpffsErr }

func (d *fakeDataPath) PrivateBPFFS(string) (bool, error) { return d.private, nil }

func (d *fakeDataPath) XDP(device, _ string) (XDP, error) {
	x, ok := d.xdp[device]
	if !ok {
		return XDP{}, unix.EPERM
	}
	return x, nil
}

func (d *fakeDataPath) OnLink(addr netip.Addr) (bool, error) {
	return !slices.Contains(d.routed, addr.String()), d.routeErr
}

func TestDataPath(t *testing.T) {
	lacking := func(capabilities ...int) func(*fakeHost) {
		return func(h *fakeHost) {
			h.missing = make(map[int]bool)
			for _, capability := range capabilities {
				h.missing[capability] = true
			}
		}
	}
	eth0 := func(x XDP) func(*fakeHost) {
		return func(h *fakeHost) { h.xdp["eth0"] = x }
	}
	const (
		plain    = "; without it this is a plain VRRP daemon, and connections do not outlive a move of their VIP; "
		ofHost   = "mount the host's /sys/fs/bpf into the container, or take PrivateMounts= and the like out of the service"
		rootMend = "run hafast check as root on the host itself"
		grant    = "run as root, or give the service that capability (AmbientCapabilities= of systemd)"
		adopting = "warning f:1: CAP_SYS_ADMIN is missing: the data path of a former daemon cannot be taken over, as at an upgrade; " + grant
		takeOff  = "stop what has put it there, or take it off: ip link set dev eth0 xdp off; or set xdp: off"
	)
	tests := []runTest{
		{name: "native", text: pair + "xdp: native\n", host: eth0(XDP{Driver: "mlx5_core", Native: NativeYes})},
		{
			name: "native on a veth", text: pair + "xdp: native\n", host: eth0(XDP{Driver: "veth", Native: NativeYes}),
			want: []string{"warning f:1: eth0 is a veth: native mode loses the checksums that senders on this machine leave to the wire, and what it sends on where the far end runs no program; set xdp: auto, which takes the generic mode there"},
		},
		{
			name: "frames do not arrive at the peer", text: pair,
			host: func(h *fakeHost) {
				h.sockets = map[string]bool{"/run/hafast/hafast.sock": true}
				h.ways = []Leg{{Peer: netip.MustParseAddr("10.0.0.2"), Reason: "they vanish"}, {Peer: netip.MustParseAddr("10.0.0.77"), Reason: "no peer of the file"}}
			},
			want: []string{"f:2: new flows do not go to 10.0.0.2: they vanish; put the way right, and they go there by themselves; docs/OPERATIONS.md has what is known of each kind of wire"},
		},
		{
			name: "frames arrive", text: pair,
			host: func(h *fakeHost) {
				h.sockets = map[string]bool{"/run/hafast/hafast.sock": true}
				h.ways = []Leg{{Peer: netip.MustParseAddr("10.0.0.2")}}
			},
		},
		{
			name: "the daemon does not say", text: pair,
			host: func(h *fakeHost) {
				h.sockets, h.waysErr = map[string]bool{"/run/hafast/hafast.sock": true}, unix.ETIMEDOUT
			},
			want: []string{"warning f:2: whether the peers get what this host sends on is not known: connection timed out; see hafast status"},
		},
		{name: "generic", text: pair + "xdp: generic\n", host: eth0(XDP{Driver: "bridge", Native: NativeNo})},
		{
			name: "off", text: pair + "xdp: off\nliveness: {witness: 10.0.0.2}\n",
			host: func(h *fakeHost) {
				lacking(unix.CAP_BPF, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE)(h)
				h.fakeDataPath = fakeDataPath{lacks: []loader.Lack{{What: "X"}}, tryErr: unix.ENOSYS, noBPFFS: true, private: true, routed: []string{"10.0.0.2"}}
			},
		},
		{
			name: "an old kernel", text: pair + "xdp: auto\n",
			host: func(h *fakeHost) {
				h.lacks = []loader.Lack{
					{What: "frames", Since: "5.18", Without: "no jumbo frames", Remedy: "use Linux 5.18"},
					{What: "compiler", Without: "slow", Remedy: "sysctl -w net.core.bpf_jit_enable=1"},
				}
			},
			want: []string{
				"warning f:7: this kernel has no frames (Linux 5.18 has): no jumbo frames; use Linux 5.18",
				"warning f:7: this kernel has no compiler: slow; sysctl -w net.core.bpf_jit_enable=1",
			},
		},
		{
			name: "the kernel refuses the program",
			host: func(h *fakeHost) {
				h.tryErr = &loader.RefusedError{Why: "the verifier says: R0 invalid", Remedy: "use another kernel", Log: "all of it"}
			},
			want:   []string{"f:1: the kernel refuses the XDP program: the verifier says: R0 invalid" + plain + "use another kernel"},
			detail: "all of it",
		},
		{
			name: "the program passes not what it should",
			host: func(h *fakeHost) { h.tryErr = errors.New("self-check: the program changes an ARP request") },
			want: []string{"f:1: self-check: the program changes an ARP request" + plain + "report it, with the kernel's release, or set xdp: off"},
		},
		{
			name: "a BPF file system of its own", text: pair + "bpf_dir: /sys/fs/bpf/x\n",
			host: func(h *fakeHost) { h.private = true },
			want: []string{"warning f:7: bpf_dir /sys/fs/bpf/x is in this mount namespace alone: the data path ends with it, and an upgrade takes nothing over; " + ofHost},
		},
		{
			name: "a BPF file system of its own, to be mounted",
			host: func(h *fakeHost) { h.private, h.noBPFFS = true, true },
			want: []string{"warning f:1: bpf_dir /sys/fs/bpf/hafast is in this mount namespace alone: the data path ends with it, and an upgrade takes nothing over; " + ofHost},
		},
		{
			name: "neither CAP_BPF nor CAP_SYS_ADMIN",
			host: func(h *fakeHost) {
				lacking(unix.CAP_BPF, unix.CAP_SYS_ADMIN)(h)
				h.tryErr = unix.EPERM
			},
			want: []string{"f:1: CAP_BPF is missing: the XDP program cannot be loaded; " + grant + ", or set xdp: off"},
		},
		{name: "CAP_SYS_ADMIN has CAP_BPF in it", host: lacking(unix.CAP_BPF)},
		{
			name: "no CAP_SYS_ADMIN", host: lacking(unix.CAP_SYS_ADMIN),
			want: []string{adopting},
		},
		{
			name: "no CAP_SYS_PTRACE", host: lacking(unix.CAP_SYS_PTRACE),
			want: []string{"warning f:1: CAP_SYS_PTRACE is missing: what haproxy listens on cannot be found out if it runs as another user; " + grant + ", or write services: by hand"},
		},
		{
			name: "no CAP_SYS_PTRACE, services by hand", host: lacking(unix.CAP_SYS_PTRACE),
			text: pair + "services: [{vip: 10.0.0.9, port: 80}]\n",
		},
		{name: "no BPF file system yet", host: func(h *fakeHost) { h.noBPFFS = true }},
		{
			name: "no BPF file system, and not to be mounted",
			host: func(h *fakeHost) {
				lacking(unix.CAP_SYS_ADMIN)(h)
				h.noBPFFS = true
			},
			want: []string{adopting, "f:1: no BPF file system is mounted at /sys/fs/bpf, and without CAP_SYS_ADMIN hafast cannot mount it; mount -t bpf bpf /sys/fs/bpf, at each boot"},
		},
		{
			name: "bpf_dir elsewhere", text: pair + "bpf_dir: /var/bpf\n",
			host: func(h *fakeHost) { h.noBPFFS = true },
			want: []string{"f:7: bpf_dir /var/bpf is not on a BPF file system; write a directory below /sys/fs/bpf, or mount one there: mount -t bpf bpf DIRECTORY"},
		},
		{
			name: "bpf_dir unusable", text: pair + "bpf_dir: /sys/fs/bpf/x\n",
			host: func(h *fakeHost) { h.bpffsErr = unix.ENOTDIR },
			want: []string{"f:7: bpf_dir /sys/fs/bpf/x cannot be used: not a directory; write another, below /sys/fs/bpf"},
		},
		{
			name: "somebody else's program",
			host: eth0(XDP{Driver: "veth", Native: NativeYes, Program: &Program{ID: 17, Name: "xdp_lb"}}),
			want: []string{"f:1: interface eth0 runs somebody else's XDP program, id 17, xdp_lb, which hafast does not displace; " + takeOff},
		},
		{
			name: "the dispatcher of xdp-tools",
			host: eth0(XDP{Driver: "veth", Native: NativeYes, Program: &Program{ID: 17, Name: "xdp_dispatcher"}}),
			want: []string{"f:1: interface eth0 runs somebody else's XDP program, id 17, xdp_dispatcher of libxdp (xdp-tools), which hafast does not displace; " +
				"xdp-loader unload eth0 --all; or " + takeOff},
		},
		{
			name: "somebody else's program without a name",
			host: eth0(XDP{Driver: "veth", Native: NativeYes, Program: &Program{ID: 17}}),
			want: []string{"f:1: interface eth0 runs somebody else's XDP program, id 17, which hafast does not displace; " + takeOff},
		},
		{
			name: "somebody else's programs",
			host: eth0(XDP{Driver: "veth", Native: NativeYes, Program: &Program{}}),
			want: []string{"f:1: interface eth0 runs several XDP programs of somebody else, which hafast does not displace; " + takeOff},
		},
		{name: "hafast's program", host: eth0(XDP{Driver: "veth", Native: NativeYes, Program: &Program{ID: 17, Name: "hafast", Own: true}})},
		{
			name: "no native XDP", host: eth0(XDP{Driver: "bridge", Native: NativeNo}),
			want: []string{"warning f:1: the driver of eth0, bridge, has no native XDP: packets go through the generic mode, which is slower; use an interface whose driver has it, or set xdp: generic"},
		},
		{
			name: "no native XDP, and nothing else wanted", text: pair + "xdp: native\n", host: eth0(XDP{Driver: "bridge", Native: NativeNo}),
			want: []string{"f:1: the driver of eth0, bridge, has no native XDP; set xdp: auto, or use an interface whose driver has it"},
		},
		{
			name: "no native XDP for a reason", host: eth0(XDP{Driver: "virtio_net", Native: NativeNo, Obstacles: []string{"A (do a)", "B (do b)"}}),
			want: []string{"warning f:1: the driver of eth0, virtio_net, has no native XDP: packets go through the generic mode, which is slower, likely since A (do a), and since B (do b); use an interface whose driver has it, or set xdp: generic"},
		},
		{
			name: "native XDP unknown, and in doubt", host: eth0(XDP{Driver: "virtio_net", Obstacles: []string{"A (do a)"}}),
			want: []string{"warning f:1: whether the driver of eth0, virtio_net, has native XDP is not known, and it may refuse since A (do a): packets may go through the generic mode, which is slower; change that, or set xdp: generic"},
		},
		{
			name: "native XDP in doubt, and nothing else wanted", text: pair + "xdp: native\n", host: eth0(XDP{Driver: "e1000", Obstacles: []string{"A (do a)"}}),
			want: []string{"warning f:1: this kernel does not tell whether the driver of eth0, e1000, has native XDP (Linux 6.3 does), and it may refuse since A (do a); set xdp: auto, which takes the generic mode if it has not"},
		},
		{name: "native XDP unknown", host: eth0(XDP{Driver: "e1000"})},
		{
			name: "native XDP unknown, and nothing else wanted", text: pair + "xdp: native\n", host: eth0(XDP{Driver: "e1000"}),
			want: []string{"warning f:1: this kernel does not tell whether the driver of eth0, e1000, has native XDP (Linux 6.3 does); set xdp: auto, which takes the generic mode if it has not"},
		},
		{
			name: "a VIP's interface", text: strings.Replace(pair, "[10.0.0.9]", "[10.0.0.9, {address: 10.1.0.9, interface: eth1}]", 1),
			host: func(h *fakeHost) { h.xdp["eth1"] = XDP{Driver: "bridge", Native: NativeNo} },
			want: []string{"warning f:5: the driver of eth1, bridge, has no native XDP: packets go through the generic mode, which is slower; use an interface whose driver has it, or set xdp: generic"},
		},
		{
			name: "XDP of an interface unknown", host: func(h *fakeHost) { h.xdp = nil },
			want: []string{"warning f:1: whether eth0 can run XDP is not known: operation not permitted; " + rootMend},
		},
		{
			name: "peer behind a gateway", text: strings.Replace(pair, "[10.0.0.2]", "[10.0.0.2, 10.7.0.2]", 1),
			host: func(h *fakeHost) { h.routed = []string{"10.7.0.2"} },
			want: []string{"warning f:2: peer 10.7.0.2 is behind a gateway, or not reached at all: no flow can be steered to it; write an address of the peer in a network that this host is in too, or set xdp: off"},
		},
		{
			name: "peer's route unknown", host: func(h *fakeHost) { h.routeErr = unix.ENOBUFS },
			want: []string{"warning f:2: whether peer 10.0.0.2 is reached directly is not known: no buffer space available; run hafast check on the host itself"},
		},
		{name: "witness on the wire", text: pair + "liveness: {witness: 10.0.0.254}\n"},
		{
			name: "witness behind a gateway", text: pair + "liveness: {witness: 10.7.0.254}\n",
			host: func(h *fakeHost) { h.routed = []string{"10.7.0.254"} },
			want: []string{"warning f:7: witness 10.7.0.254 is not in a network of this host: it cannot answer ARP; write a neighbour that is always there, such as the gateway, or witness: off"},
		},
		{
			name: "witness is this host", text: pair + "liveness: {witness: 10.0.0.1}\n",
			host: func(h *fakeHost) { h.routed = []string{"10.0.0.1"} },
			want: []string{"warning f:7: witness 10.0.0.1 is not in a network of this host: it cannot answer ARP; write a neighbour that is always there, such as the gateway, or witness: off"},
		},
		{
			name: "peer is this host", text: strings.Replace(pair, "[10.0.0.2]", "[10.0.0.1]", 1),
			host: func(h *fakeHost) { h.routed = []string{"10.0.0.1"} },
			want: []string{"f:2: peer 10.0.0.1 is this host's own address, on eth0; peers are the other hosts: leave this host's address out"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t) })
	}
}
