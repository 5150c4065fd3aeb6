// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// smallest is a whole working configuration.
const smallest = `interface: eth0
peers: [10.224.147.167]
instances:
  - vrid: 51
    priority: 101
    vips: [10.224.147.208]
`

// contract is the example that users rely on, as it stands in the design.
const contract = `# /etc/hafast/hafast.yaml: the same on both hosts but for peers and priority
node: haa                      # default: the host name
interface: eth0                # where VRRP runs and the VIPs live
peers: [10.224.147.167]        # the other hosts' own addresses; none: VRRP alone
instances:
  - name: VI_1
    vrid: 51
    priority: 101
    vips: [10.224.147.208]     # prefix optional; or {address: 10.8.0.208, interface: eth1}
    # version: 3  advert_interval: 1s  preempt: true  preempt_delay: 0s  unicast: false
haproxy:
  pidfile: /var/run/haproxy.pid
services: auto                 # or [{vip: 10.224.147.208, port: 443, proto: tcp}]
balance: shared                # shared | local
liveness: {interval: 2ms, multiplier: 3}
sync:
  key_file: /etc/hafast/sync.key     # 'hafast keygen' prints one; without it sync refuses to start
  # conntrack: false   listen: 10.9.0.166   peers: [10.9.0.167]   where the sync link is another network
metrics: {listen: "127.0.0.1:9405"}
control: {socket: /run/hafast/hafast.sock}
state_dir: /run/hafast
bpf_dir: /sys/fs/bpf/hafast
`

var sameValues = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.IgnoreFields(Config{}, "Places"),
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("parse:\n%v", err)
	}
	return c
}

// defaults is what every key but the required ones is without a word in the file.
func defaults() *Config {
	peer := netip.MustParseAddr("10.224.147.167")
	host, _ := os.Hostname()
	return &Config{
		Node:      host,
		Interface: "eth0",
		Peers:     []netip.Addr{peer},
		Instances: []Instance{{
			Name: "VI_51", VRID: 51, Priority: 101, Interface: "eth0",
			VIPs:    []VIP{{Prefix: netip.MustParsePrefix("10.224.147.208/32"), Interface: "eth0", Advertise: true}},
			Version: 3, AdvertInterval: time.Second, Preempt: true, Peers: []netip.Addr{peer},
			Checksum: "legacy", Accept: true,
			Place: Place{File: "f.yaml", Line: 4, Key: "instances[0]"},
		}},
		HAProxy: HAProxy{
			Mode: "auto", Pidfile: "/var/run/haproxy.pid",
			Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 3,
		},
		Announce: Announce{Count: 3, Interval: 20 * time.Millisecond, RepeatDelay: 5 * time.Second, Refresh: time.Minute},
		Nice:     -20,
		Log:      Log{Level: "info", Format: "text"},
		Metrics:  Metrics{Listen: "127.0.0.1:9405"},
		Control:  Control{Socket: "/run/hafast/hafast.sock"},
		StateDir: "/run/hafast",
		Balance:  "shared",
		Liveness: Liveness{Interval: 2 * time.Millisecond, Multiplier: 3, Witness: Witness{Gateway: true}, Lease: 100 * time.Millisecond},
		Sync: Sync{Peers: []netip.Addr{peer}, Filter: Filter{
			Protocols: []string{"tcp", "udp"},
			TCPStates: []string{"established", "fin_wait", "close_wait", "last_ack"},
		}},
		XDP:    "auto",
		Flows:  262144,
		BPFDir: "/sys/fs/bpf/hafast",
	}
}

func TestDefaults(t *testing.T) {
	if diff := cmp.Diff(defaults(), parse(t, smallest), sameValues); diff != "" {
		t.Errorf("smallest configuration (-want +got):\n%s", diff)
	}
}

func TestContract(t *testing.T) {
	want := defaults()
	want.Node = "haa"
	want.Instances[0].Name = "VI_1"
	want.Instances[0].Place.Line = 6
	want.HAProxy.Mode = "on"
	want.Sync.KeyFile = "/etc/hafast/sync.key"
	if diff := cmp.Diff(want, parse(t, contract), sameValues); diff != "" {
		t.Errorf("contract (-want +got):\n%s", diff)
	}
}

// TestEveryKey sets every key to something other than its default.
func TestEveryKey(t *testing.T) {
	got := parse(t, `
node: haa
peers: [10.0.0.2, fd00::2]
instances:
  - name: four
    vrid: 1
    priority: 255
    interface: eth1
    version: 2
    advert_interval: 2s
    preempt: false
    preempt_delay: 1m30s
    unicast: true
    peers: [10.0.0.3]
    source: 10.0.0.1
    checksum: rfc9568
    accept: false
    virtual_mac: true
    auth: {type: pass, password: secret}
    vips:
      - {address: 10.0.0.9/24, interface: eth2, label: "eth2:1", advertise: false}
      - 10.0.0.10
    track:
      scripts: [chk, {name: other, weight: -5}]
      interfaces: [eth3, {name: eth4, weight: 7}]
      files: [/run/a, {path: /run/b, weight: -1}]
      processes: [sshd, {name: "nginx: master", weight: 3}]
    routes:
      - {to: default, via: 10.0.0.254, metric: 5, table: 100}
      - {to: 10.9.0.0/16, source: 10.0.0.9, interface: eth5}
    notify: {active: /bin/a, backup: /bin/b, fault: /bin/f, stop: /bin/s, any: /bin/n x, user: nobody}
  - name: six
    vrid: 1
    interface: eth1
    vips: [fe80::9, "fd00::9/64"]
    routes: [{to: default}]
sync_groups:
  - {name: both, instances: [four, six], notify: {active: /a, backup: /b, fault: /f, stop: /s, any: /n, user: u}}
haproxy: {pidfile: /run/h.pid, weight: 2, socket: /run/h.sock, interval: 2s, timeout: 500ms, rise: 2, fall: 4}
scripts:
  - {name: chk, command: pkill -0 haproxy, interval: 2s, weight: 2}
  - {name: other, command: /bin/true, timeout: 3s, rise: 2, fall: 3, user: nobody}
announce: {count: 5, interval: 0, repeat_delay: 0s, refresh: 0}
nice: 0
log: {level: debug, format: json}
metrics: off
control: {socket: /run/h/s}
state_dir: /var/lib/h
services: [{vip: 10.0.0.9, port: 443, proto: udp}]
balance: local
liveness: {interval: 5ms, multiplier: 4, witness: 10.0.0.254, lease: 250ms}
sync:
  key_file: /k
  conntrack: true
  listen: 10.9.0.1
  peers: [10.9.0.2]
  filter: {protocols: [tcp, icmp], ignore: [10.8.0.1, "fd00:8::/32"], tcp_states: [syn_recv, established]}
xdp: generic
flows: 4096
bpf_dir: /sys/fs/bpf/x
`)
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	minus5 := -5
	four := Instance{
		Name: "four", VRID: 1, Priority: 255, Interface: "eth1", Version: 2, AdvertInterval: 2 * time.Second,
		PreemptDelay: 90 * time.Second, Unicast: true, Peers: []netip.Addr{addr("10.0.0.3")}, Source: addr("10.0.0.1"),
		Checksum: "rfc9568", VirtualMAC: true, Password: "secret",
		VIPs: []VIP{
			{Prefix: prefix("10.0.0.9/24"), Interface: "eth2", Label: "eth2:1"},
			{Prefix: prefix("10.0.0.10/32"), Interface: "eth1", Advertise: true},
		},
		Track: Track{
			Scripts:    []TrackScript{{Name: "chk"}, {Name: "other", Weight: &minus5}},
			Interfaces: []TrackInterface{{Name: "eth3"}, {Name: "eth4", Weight: 7}},
			Files:      []TrackFile{{Path: "/run/a", Weight: 1}, {Path: "/run/b", Weight: -1}},
			Processes:  []TrackProcess{{Name: "sshd"}, {Name: "nginx: master", Weight: 3}},
		},
		Routes: []Route{
			{To: prefix("0.0.0.0/0"), Via: addr("10.0.0.254"), Interface: "eth1", Metric: 5, Table: 100},
			{To: prefix("10.9.0.0/16"), Source: addr("10.0.0.9"), Interface: "eth5"},
		},
		Notify: Notify{Active: "/bin/a", Backup: "/bin/b", Fault: "/bin/f", Stop: "/bin/s", Any: "/bin/n x", User: "nobody"},
	}
	six := Instance{
		Name: "six", VRID: 1, Priority: 100, Interface: "eth1", Version: 3, AdvertInterval: time.Second, Preempt: true,
		Peers: []netip.Addr{addr("fd00::2")}, Checksum: "legacy", Accept: true,
		VIPs: []VIP{
			{Prefix: prefix("fe80::9/128"), Interface: "eth1", Advertise: true},
			{Prefix: prefix("fd00::9/64"), Interface: "eth1", Advertise: true},
		},
		Routes: []Route{{To: prefix("::/0"), Interface: "eth1"}},
	}
	want := &Config{
		Node: "haa", Peers: []netip.Addr{addr("10.0.0.2"), addr("fd00::2")},
		Instances:  []Instance{four, six},
		SyncGroups: []SyncGroup{{Name: "both", Instances: []string{"four", "six"}, Notify: Notify{"/a", "/b", "/f", "/s", "/n", "u"}}},
		HAProxy: HAProxy{
			Mode: "on", Pidfile: "/run/h.pid", Weight: 2, Socket: "/run/h.sock",
			Interval: 2 * time.Second, Timeout: 500 * time.Millisecond, Rise: 2, Fall: 4,
		},
		Scripts: []Script{
			{Name: "chk", Command: "pkill -0 haproxy", Interval: 2 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 1, Weight: 2},
			{Name: "other", Command: "/bin/true", Interval: time.Second, Timeout: 3 * time.Second, Rise: 2, Fall: 3, User: "nobody"},
		},
		Announce: Announce{Count: 5},
		Log:      Log{Level: "debug", Format: "json"},
		Control:  Control{Socket: "/run/h/s"},
		StateDir: "/var/lib/h",
		Services: []Service{{VIP: addr("10.0.0.9"), Port: 443, Proto: "udp"}},
		Balance:  "local",
		Liveness: Liveness{Interval: 5 * time.Millisecond, Multiplier: 4, Witness: Witness{Addr: addr("10.0.0.254")}, Lease: 250 * time.Millisecond},
		Sync: Sync{
			KeyFile: "/k", Conntrack: true, Listen: addr("10.9.0.1"), Peers: []netip.Addr{addr("10.9.0.2")},
			Filter: Filter{
				Protocols: []string{"tcp", "icmp"}, TCPStates: []string{"syn_recv", "established"},
				Ignore: []netip.Prefix{prefix("10.8.0.1/32"), prefix("fd00:8::/32")},
			},
		},
		XDP: "generic", Flows: 4096, BPFDir: "/sys/fs/bpf/x",
	}
	places := cmpopts.IgnoreTypes(Place{})
	if diff := cmp.Diff(want, got, sameValues, places); diff != "" {
		t.Errorf("every key (-want +got):\n%s", diff)
	}
	set := map[string]bool{}
	for path := range got.Places {
		set[strings.TrimSuffix(general(path), "[]")] = true
	}
	for _, key := range Schema() {
		if key.Path != "interface" && key.Path != "metrics.listen" && !set[key.Path] {
			t.Errorf("this test does not set %s", key.Path)
		}
	}
}

func TestHAProxyModes(t *testing.T) {
	for text, mode := range map[string]string{"": "auto", "haproxy: off": "off", "haproxy: {}": "on", "haproxy:": "on", "haproxy: {weight: 2}": "on"} {
		c := parse(t, smallest+text+"\n")
		if c.HAProxy.Mode != mode {
			t.Errorf("%q: mode %s, want %s", text, c.HAProxy.Mode, mode)
		}
		if c.HAProxy.Pidfile != "/var/run/haproxy.pid" {
			t.Errorf("%q: pidfile %q", text, c.HAProxy.Pidfile)
		}
	}
}

func TestMetricsOff(t *testing.T) {
	for _, text := range []string{"metrics: off", `metrics: {listen: ""}`} {
		if c := parse(t, smallest+text+"\n"); c.Metrics.Listen != "" {
			t.Errorf("%q: listens on %q", text, c.Metrics.Listen)
		}
	}
}

func TestAliases(t *testing.T) {
	c := parse(t, `
interface: eth0
instances:
  - vrid: 1
    vips: [10.0.0.1]
    notify: &n {any: /bin/n}
  - vrid: 2
    vips: [10.0.0.2]
    notify: *n
`)
	if got := c.Instances[1].Notify.Any; got != "/bin/n" {
		t.Errorf("aliased notify is %q", got)
	}
	if got := c.Places.Of("instances[1].notify.any").Line; got != 9 {
		t.Errorf("aliased key stands on line %d, want that of the alias, 9", got)
	}
}

func TestPlaces(t *testing.T) {
	c := parse(t, smallest)
	for path, line := range map[string]int{
		"interface": 1, "peers[0]": 2, "instances[0].vips[0]": 6,
		"instances[0].advert_interval": 4, // not set: the instance
		"haproxy.pidfile":              1, // not set at all: the file
	} {
		if got := c.Places.Of(path); got != (Place{File: "f.yaml", Line: line, Key: path}) {
			t.Errorf("%s stands at %+v, want line %d", path, got, line)
		}
	}
}

// TestDefaultTexts reads each literal default of the schema as a value of its key.
func TestDefaultTexts(t *testing.T) {
	check := func(section string, errs Errors) {
		for _, e := range errs {
			t.Errorf("default in %s: %v", section, e)
		}
	}
	check("config", literalProblems(configFields()))
	check("instance", literalProblems(instanceFields()))
	check("vip", literalProblems(vipFields()))
	check("auth", literalProblems(authFields()))
	check("track interface", literalProblems(trackInterfaceFields()))
	check("track file", literalProblems(trackFileFields()))
	check("track process", literalProblems(trackProcessFields()))
	check("route", literalProblems(routeFields()))
	check("haproxy", literalProblems(haproxyFields()))
	check("script", literalProblems(scriptFields()))
	check("announce", literalProblems(announceFields()))
	check("log", literalProblems(logFields()))
	check("metrics", literalProblems(metricsFields()))
	check("control", literalProblems(controlFields()))
	check("service", literalProblems(serviceFields()))
	check("liveness", literalProblems(livenessFields()))
	check("sync", literalProblems(syncFields()))
	check("filter", literalProblems(filterFields()))
}

func literalProblems[T any](fields []field[T]) Errors {
	d := &decoder{file: "schema", places: Places{}}
	for _, f := range fields {
		if f.Literal {
			var v T
			root, err := parseTree("schema", []byte(f.Default))
			if err != nil {
				d.errs = append(d.errs, err)
				continue
			}
			f.read(d, f.Path, root, &v)
		}
	}
	return d.errs
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hafast.yaml")
	if err := os.WriteFile(file, []byte(smallest), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Instances[0].Place; got != (Place{File: file, Line: 4, Key: "instances[0]"}) {
		t.Errorf("instance stands at %+v", got)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	_, err := Load(missing)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v, want fs.ErrNotExist inside", err)
	}
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 1 {
		t.Fatalf("missing file: %T, want one of Errors", err)
	}
	want := missing + ": cannot be read: no such file or directory; create it, or name another with --config"
	if got := errs[0].Error(); got != want {
		t.Errorf("missing file:\n got %s\nwant %s", got, want)
	}
	_, err = Load(dir)
	want = dir + ": cannot be read: is a directory; name a regular file with --config"
	if err == nil || err.Error() != want {
		t.Errorf("directory:\n got %v\nwant %s", err, want)
	}
}

func TestIPv6InstancesHaveALinkLocalVIP(t *testing.T) {
	for _, tt := range []struct {
		name, vips string
		want       []string
	}{
		{"added", "[2001:db8::5]", []string{"2001:db8::5", "fe80::200:5eff:fe00:233"}},
		{"given", "[fe80::5, 2001:db8::5]", []string{"fe80::5", "2001:db8::5"}},
		{"given but not advertised", "[2001:db8::5, {address: fe80::5, advertise: false}]", []string{"2001:db8::5", "fe80::5", "fe80::200:5eff:fe00:233"}},
		{"IPv4", "[192.0.2.5]", []string{"192.0.2.5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Parse("f", []byte("interface: eth0\ninstances:\n  - vrid: 51\n    vips: "+tt.vips+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range cfg.Instances[0].VIPs {
				got = append(got, v.Prefix.Addr().String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("VIPs (-want +got):\n%s", diff)
			}
		})
	}
}
