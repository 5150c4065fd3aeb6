// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hafast/internal/config"
)

// fakeHost is an Env of literals.
type fakeHost struct {
	links     []Link
	linksErr  error
	sockets   map[string]bool
	listenErr error
	release   string
	sysctls   map[string]string
	missing   map[int]bool // capabilities
	pidfdErr  error
	files     map[string]string
	programs  map[string]error
	users     map[string]bool
	readOnly  map[string]bool
	keyErr    error
	portErr   error
	noCT      bool // connection tracking by netlink
	ctErr     error
	noSysctl  string // what its path begins with is not there
	processes map[int]string
	fakeDataPath
}

func (h *fakeHost) Links() ([]Link, error) { return h.links, h.linksErr }

func (h *fakeHost) Answers(socket string) error {
	if !h.sockets[socket] {
		return unix.ECONNREFUSED
	}
	return nil
}

func (h *fakeHost) CanListen(string) error   { return h.listenErr }
func (h *fakeHost) Release() (string, error) { return h.release, nil }

func (h *fakeHost) CanReceive(uint16) error  { return h.portErr }
func (h *fakeHost) Conntrack() (bool, error) { return !h.noCT, h.ctErr }

func (h *fakeHost) Sysctl(path string) (string, error) {
	if h.noSysctl != "" && strings.HasPrefix(path, h.noSysctl) {
		return "", fs.ErrNotExist
	}
	if v, ok := h.sysctls[path]; ok {
		return v + "\n", nil
	}
	if path == "net/core/bpf_jit_enable" {
		return "1\n", nil
	}
	return "0\n", nil
}

func (h *fakeHost) Capable(capability int) (bool, error) { return !h.missing[capability], nil }
func (h *fakeHost) PIDFD() error                         { return h.pidfdErr }

func (h *fakeHost) Read(path string) ([]byte, error) {
	if text, ok := h.files[path]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

func (h *fakeHost) Executable(line string) error { return h.programs[line] }

func (h *fakeHost) User(name string) error {
	if !h.users[name] {
		return errors.New("unknown user " + name)
	}
	return nil
}

func (h *fakeHost) Writable(dir string) error {
	if h.readOnly[dir] {
		return unix.EROFS
	}
	return nil
}

func (h *fakeHost) Key(string) error                   { return h.keyErr }
func (h *fakeHost) Processes() (map[int]string, error) { return h.processes, nil }

// sound is a host with which pair's configuration finds no fault.
func sound() *fakeHost {
	return &fakeHost{
		links: []Link{
			{Name: "lo", Up: true, Carrier: true, MTU: 65536, Addrs: prefixes("127.0.0.1/8", "10.0.0.9/32")},
			{Name: "eth0", Up: true, Carrier: true, MTU: 1500, Addrs: prefixes("10.0.0.1/24", "fe80::1/64")},
			{Name: "eth1", Up: true, Carrier: true, MTU: 1500, Addrs: prefixes("10.1.0.1/24", "fe80::2/64")},
		},
		release:   "6.1.0-18-amd64",
		files:     map[string]string{"/run/haproxy.pid": "42\n"},
		users:     map[string]bool{"nobody": true},
		processes: map[int]string{1: "systemd", 42: "haproxy"},
		fakeDataPath: fakeDataPath{
			xdp: map[string]XDP{"eth0": {Driver: "veth", Native: NativeYes}, "eth1": {Driver: "veth", Native: NativeYes}},
		},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

const pair = `interface: eth0
peers: [10.0.0.2]
instances:
  - vrid: 51
    vips: [10.0.0.9]
haproxy: {pidfile: /run/haproxy.pid}
`

const six = `interface: eth0
instances:
  - vrid: 51
    vips: ["fd00::9"]
haproxy: {pidfile: /run/haproxy.pid}
`

func TestRun(t *testing.T) {
	tests := []runTest{
		{name: "nothing wrong"},
		{name: "nothing wrong with IPv6", text: six},
		{
			name: "hafast runs already and holds the VIP",
			host: func(h *fakeHost) {
				h.sockets = map[string]bool{"/run/hafast/hafast.sock": true}
				h.listenErr, h.portErr = unix.EADDRINUSE, unix.EADDRINUSE
				h.links[1].Addrs = prefixes("10.0.0.1/24", "10.0.0.9/32")
			},
		},
		{
			name: "interfaces cannot be listed",
			host: func(h *fakeHost) { h.links, h.linksErr = nil, unix.EPERM },
			want: []string{"f:1: interfaces cannot be listed: operation not permitted; run hafast check on the host itself"},
		},
		{
			name: "interface missing",
			text: strings.Replace(pair, "eth0", "eth7", 1),
			want: []string{"f:1: interface eth7 does not exist; create it, or write one of eth0, eth1"},
		},
		{
			name: "interface of one instance missing",
			text: pair[:strings.Index(pair, "haproxy")] + "    interface: eth7\nhaproxy: off\n",
			want: []string{"f:6: interface eth7 does not exist; create it, or write one of eth0, eth1"},
		},
		{
			name: "VIP's interface missing",
			text: strings.Replace(pair, "[10.0.0.9]", "[{address: 10.0.0.9, interface: eth7}]", 1),
			want: []string{"f:5: interface eth7 does not exist; create it, or write one of eth0, eth1"},
		},
		{
			name: "weight without preemption",
			text: strings.Replace(pair, "haproxy: {", "    preempt: false\nhaproxy: {weight: 2, ", 1),
			want: []string{"warning f:6: instance VI_51 has preempt: false and checks with a weight, which never move its VIPs: a Backup leaves any Active in its place; write weight: 0, which takes the host out of service, or leave preempt out"},
		},
		{
			name: "tracked interface missing",
			text: strings.Replace(pair, "haproxy:", "    track: {interfaces: [eth7]}\nhaproxy:", 1),
			want: []string{"f:6: interface eth7 does not exist; create it, or write one of eth0, eth1"},
		},
		{
			name: "interface down",
			host: func(h *fakeHost) { h.links[1].Up = false },
			want: []string{"f:1: interface eth0 is down; ip link set eth0 up"},
		},
		{
			name: "no carrier",
			host: func(h *fakeHost) { h.links[1].Carrier = false },
			want: []string{"warning f:1: interface eth0 has no carrier; look at the cable, or at the other end"},
		},
		{
			name: "no IPv4 address",
			host: func(h *fakeHost) { h.links[1].Addrs = prefixes("fe80::1/64") },
			want: []string{"f:1: interface eth0 has no IPv4 address of its own; add one, or set source: of instance VI_51"},
		},
		{
			name: "no IPv4 address but the VIP",
			host: func(h *fakeHost) { h.links[1].Addrs = prefixes("10.0.0.9/24") },
			want: []string{
				"f:1: interface eth0 has no IPv4 address of its own; add one, or set source: of instance VI_51",
				"warning f:5: VIP 10.0.0.9 is on eth0 already, and no hafast runs here; take it out of the network configuration: ip address del 10.0.0.9/24 dev eth0",
			},
		},
		{
			name: "address owner has its VIP",
			text: strings.Replace(pair, "vrid: 51", "vrid: 51\n    priority: 255", 1),
			host: func(h *fakeHost) { h.links[1].Addrs = prefixes("10.0.0.9/24") },
		},
		{
			name: "no link-local address",
			text: six,
			host: func(h *fakeHost) { h.links[1].Addrs = prefixes("10.0.0.1/24", "fd00::1/64") },
			want: []string{"f:1: interface eth0 has no IPv6 link-local address; sysctl -w net.ipv6.conf.eth0.disable_ipv6=0, or ip address add fe80::1/64 dev eth0 with an address that is unique there"},
		},
		{
			name: "source on no interface",
			text: strings.Replace(pair, "haproxy:", "    source: 10.0.0.7\nhaproxy:", 1),
			want: []string{"f:6: source 10.0.0.7 is on no interface of this host; write one of this host's own addresses, or leave source out"},
		},
		{
			name: "source on another interface",
			text: strings.Replace(pair, "haproxy:", "    source: 10.1.0.1\nhaproxy:", 1),
		},
		{
			name: "peer is this host",
			text: strings.Replace(pair, "[10.0.0.2]", "[10.0.0.2, 10.0.0.1]", 1),
			want: []string{"f:2: peer 10.0.0.1 is this host's own address, on eth0; peers are the other hosts: leave this host's address out"},
		},
		{
			name: "instance's peer is this host",
			text: strings.Replace(pair, "haproxy:", "    peers: [10.1.0.1]\nhaproxy:", 1),
			want: []string{"f:6: peer 10.1.0.1 is this host's own address, on eth1; peers are the other hosts: leave this host's address out"},
		},
		{
			name: "peer of a family without instances",
			text: strings.Replace(pair, "[10.0.0.2]", "[10.0.0.2, fd00::2]", 1),
			want: []string{"warning f:2: peer fd00::2 is IPv6, and no instance is; take it out, or add an instance of that family"},
		},
		{
			name: "sync group that does not agree",
			text: strings.Replace(pair, "haproxy:", "  - {name: VI_2, vrid: 52, priority: 90, vips: [10.0.0.19]}\nsync_groups:\n  - {name: g, instances: [VI_51, VI_2]}\nhaproxy:", 1),
			want: []string{"warning f:8: VI_51 has priority 100 and VI_2 has 90, but they change state together; give the instances of a group one priority on each host"},
		},
		{
			name: "old kernel",
			host: func(h *fakeHost) { h.release = "4.19.0-26-amd64" },
			want: []string{"warning f:1: kernel 4.19.0-26-amd64 is older than 5.10; upgrade: hafast is not tested with it"},
		},
		{
			name: "kernel just new enough, with letters",
			host: func(h *fakeHost) { h.release = "5.10-rc1" },
		},
		{
			name: "no pidfd",
			host: func(h *fakeHost) { h.pidfdErr = unix.ENOSYS },
			want: []string{"f:6: pidfd_open does not work: function not implemented; use Linux 5.3 or later without a filter on it, or watch haproxy by a script and set haproxy: off"},
		},
		{
			name: "no privileges",
			host: func(h *fakeHost) {
				h.missing = map[int]bool{unix.CAP_NET_ADMIN: true, unix.CAP_NET_RAW: true, unix.CAP_SYS_NICE: true, unix.CAP_IPC_LOCK: true}
			},
			want: []string{
				"f:1: CAP_NET_ADMIN is missing: addresses cannot be moved; run as root, or give the service that capability (AmbientCapabilities= of systemd)",
				"f:1: CAP_NET_RAW is missing: adverts can be neither sent nor heard; run as root, or give the service that capability (AmbientCapabilities= of systemd)",
				"warning f:1: CAP_SYS_NICE is missing: the daemon cannot go before other processes; run as root, or set nice: 0",
				"warning f:1: CAP_IPC_LOCK is missing: a takeover may have to wait for the disk; run as root, or give the service that capability (AmbientCapabilities= of systemd)",
			},
		},
		{
			name: "nothing above the ordinary wanted",
			text: pair + "nice: 0\n",
			host: func(h *fakeHost) { h.missing = map[int]bool{unix.CAP_SYS_NICE: true} },
		},
		{
			name: "arp_ignore",
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv4/conf/all/arp_ignore": "2"} },
			want: []string{"warning f:1: net.ipv4.conf.all.arp_ignore is 2: ARP for a VIP may go unanswered; sysctl -w net.ipv4.conf.all.arp_ignore=1, as hafast needs it"},
		},
		{
			name: "arp_ignore as it should be",
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv4/conf/all/arp_ignore": "1"} },
		},
		{
			name: "strict rp_filter with two interfaces",
			text: strings.Replace(pair, "[10.0.0.9]", "[{address: 10.0.0.9, interface: eth1}]", 1),
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv4/conf/eth1/rp_filter": "1"} },
			want: []string{"warning f:1: net.ipv4.conf.eth1.rp_filter is 1: with several interfaces it drops what comes in by another way than it goes out; sysctl -w net.ipv4.conf.eth1.rp_filter=2 where the ways differ"},
		},
		{
			name: "strict rp_filter with one interface",
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv4/conf/all/rp_filter": "1"} },
		},
		{
			name: "IPv6 disabled",
			text: six,
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv6/conf/lo/disable_ipv6": "1"} },
			want: []string{"f:1: net.ipv6.conf.lo.disable_ipv6 is 1, and there are IPv6 VIPs; sysctl -w net.ipv6.conf.lo.disable_ipv6=0"},
		},
		{
			name: "IPv6 disabled without IPv6 VIPs",
			host: func(h *fakeHost) { h.sysctls = map[string]string{"net/ipv6/conf/lo/disable_ipv6": "1"} },
		},
		{
			name: "no pidfile",
			host: func(h *fakeHost) { h.files = nil },
			want: []string{"warning f:6: pidfile /run/haproxy.pid does not exist: haproxy does not run, or writes another; start haproxy, or write the pidfile of its configuration, or haproxy: off"},
		},
		{
			name: "no pidfile, no section",
			text: pair[:strings.Index(pair, "haproxy")],
			want: []string{"warning f:1: there is no haproxy section and no /var/run/haproxy.pid: haproxy is not watched until that file appears; start haproxy, or write haproxy: with its pidfile, or haproxy: off"},
		},
		{
			name: "haproxy off",
			text: pair[:strings.Index(pair, "haproxy")] + "haproxy: off\n",
			host: func(h *fakeHost) { h.files, h.pidfdErr = nil, unix.ENOSYS },
		},
		{
			name: "pidfile empty",
			host: func(h *fakeHost) { h.files["/run/haproxy.pid"] = "\n" },
			want: []string{"warning f:6: pidfile /run/haproxy.pid is empty; start haproxy"},
		},
		{
			name: "pidfile with something else",
			host: func(h *fakeHost) { h.files["/run/haproxy.pid"] = "haproxy" },
			want: []string{"warning f:6: pidfile /run/haproxy.pid has \"haproxy\" where a process id should be; write the pidfile of haproxy's configuration"},
		},
		{
			name: "haproxy has ended",
			host: func(h *fakeHost) { delete(h.processes, 42) },
			want: []string{"warning f:6: no process has the id 42 of pidfile /run/haproxy.pid; start haproxy"},
		},
		{
			name: "pidfile of something else",
			host: func(h *fakeHost) { h.processes[42] = "nginx" },
			want: []string{"warning f:6: process 42 of pidfile /run/haproxy.pid is nginx, not haproxy; write the pidfile of haproxy's configuration"},
		},
		{
			name: "stats socket silent",
			text: strings.Replace(pair, "haproxy.pid}", "haproxy.pid, socket: /run/stats}", 1),
			want: []string{"warning f:6: haproxy's stats socket does not answer: connection refused; add to haproxy's global section: stats socket /run/stats"},
		},
		{
			name: "stats socket answers",
			text: strings.Replace(pair, "haproxy.pid}", "haproxy.pid, socket: /run/stats}", 1),
			host: func(h *fakeHost) { h.sockets = map[string]bool{"/run/stats": true} },
		},
		{
			name: "script and its user missing",
			text: pair + "scripts:\n  - name: chk\n    command: /bin/none -x\n    user: ghost\n",
			host: func(h *fakeHost) { h.programs = map[string]error{"/bin/none -x": fs.ErrNotExist} },
			want: []string{
				"f:9: script chk cannot be run: file does not exist; write a program that exists and is executable, with its path",
				"f:10: commands cannot be run as ghost: unknown user ghost; create the user, or leave the key out to run as hafast does",
			},
		},
		{
			name: "notify commands missing",
			text: strings.Replace(pair, "haproxy:", "    notify: {fault: /bin/f, user: nobody}\nsync_groups:\n  - name: g\n    instances: [VI_51]\n    notify: {any: /bin/g}\nhaproxy:", 1),
			host: func(h *fakeHost) {
				h.programs = map[string]error{"/bin/f": fs.ErrPermission, "/bin/g": fs.ErrNotExist}
			},
			want: []string{
				"f:6: notify command fault cannot be run: permission denied; write a program that exists and is executable, with its path",
				"f:10: notify command any cannot be run: file does not exist; write a program that exists and is executable, with its path",
			},
		},
		{
			name: "keepalived runs",
			host: func(h *fakeHost) { h.processes[77], h.processes[78] = "keepalived", "keepalived" },
			want: []string{"warning f:3: keepalived runs on this host, as process 77: with the same vrid the two fight over the VIPs; stop it before hafast starts: systemctl disable --now keepalived"},
		},
		{
			name: "directories read-only",
			text: pair + "state_dir: /var/x\n",
			host: func(h *fakeHost) { h.readOnly = map[string]bool{"/run/hafast": true, "/var/x": true} },
			want: []string{
				"f:1: directory /run/hafast cannot be written: read-only file system; make it writable for hafast, or write another",
				"f:7: directory /var/x cannot be written: read-only file system; make it writable for hafast, or write another",
			},
		},
		{
			name: "port in use",
			text: pair + "metrics: {listen: \"127.0.0.1:80\"}\n",
			host: func(h *fakeHost) { h.listenErr = unix.EADDRINUSE },
			want: []string{"f:7: metrics cannot listen on 127.0.0.1:80: address already in use; write a free port and one of this host's addresses, or metrics: off"},
		},
		{
			name: "port in use, metrics off",
			text: pair + "metrics: off\n",
			host: func(h *fakeHost) { h.listenErr = unix.EADDRINUSE },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t) })
	}
}

// runTest is a configuration, a host, and what Run finds.
type runTest struct {
	name string
	text string // pair unless given
	host func(h *fakeHost)
	want []string
	// detail is what the findings say in full.
	detail string
}

func (test runTest) run(t *testing.T) {
	t.Helper()
	text := test.text
	if text == "" {
		text = pair
	}
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	host := sound()
	if test.host != nil {
		test.host(host)
	}
	var got []string
	detail := ""
	for _, p := range Run(cfg, host) {
		line := p.String()
		detail += p.Detail
		if p.Warning {
			line = "warning " + line
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(test.want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if detail != test.detail {
		t.Errorf("in full: %q, want %q", detail, test.detail)
	}
}
