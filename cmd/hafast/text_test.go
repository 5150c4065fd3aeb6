// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                          "0s",
		900 * time.Millisecond:                "0s",
		12 * time.Second:                      "12s",
		3*time.Minute + 20*time.Second:        "3m20s",
		2*time.Hour + 3*time.Minute:           "2h3m",
		24*time.Hour - time.Second:            "23h59m",
		76*time.Hour + 59*time.Minute:         "3d4h",
		59*time.Second + 999*time.Millisecond: "59s",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestMicroseconds(t *testing.T) {
	for us, want := range map[float64]string{
		0: "0us", 0.4: "0us", 85.4: "85us", 999.4: "999us", 999.6: "1.0ms",
		1240: "1.2ms", 999_940: "999.9ms", 999_960: "1.00s", 3_610_000: "3.61s",
	} {
		if got := microseconds(us); got != want {
			t.Errorf("microseconds(%v) = %s, want %s", us, got, want)
		}
	}
}

func TestVIPsText(t *testing.T) {
	tests := []struct {
		name string
		vips []string
		want string
	}{
		{"none", nil, "-"},
		{"host prefixes are left out", []string{"10.0.0.1/32", "fd00::1/128"}, "10.0.0.1, fd00::1"},
		{"others stay", []string{"10.0.0.1/24"}, "10.0.0.1/24"},
		{"as many as fit", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}, "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5"},
		{"more are counted", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, and 2 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := vipsText(tt.vips); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEventText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	tests := []struct {
		name  string
		event control.Event
		want  string
	}{
		{"transition", control.Event{Kind: "transition", Instance: "VI_1", From: "init", To: "backup", Cause: "started"}, "VI_1        init -> backup    started"},
		{"first result of a check", control.Event{Kind: "health", To: "up", Cause: "haproxy: pid 7"}, "-           health up         haproxy: pid 7"},
		{"no cause", control.Event{Kind: "ready"}, "-           ready"},
		{"phases", control.Event{Kind: "takeover", Instance: "VI_1", Cause: "done", Phases: []control.Phase{{Name: "total", Microseconds: 210}}}, "VI_1        takeover          done  (total 210us)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.event.Time = at
			if diff := cmp.Diff("2026-01-02 03:04:05.000  "+tt.want+"\n", eventText(tt.event)); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	tests := []struct {
		name   string
		status control.Status
		want   string
	}{
		{
			name:   "a host that has just begun",
			status: control.Status{Node: "haa", Version: "1.0", Uptime: 1.9},
			want:   "haa: hafast 1.0, up 1s\n",
		},
		{
			name: "a pair",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90, Drained: true,
				Instances: []control.Instance{
					{
						Name: "VI_1", VRID: 51, Interface: "eth0", State: "backup", Priority: 101, EffectivePriority: 0,
						OutOfService: "drained", VIPs: []string{"10.0.0.1/32"}, Active: "10.0.0.12", Since: now.Add(-time.Minute),
					},
					{Name: "long_name", VRID: 5, Interface: "bond0", State: "fault", Reason: "bond0 is down", Priority: 1, EffectivePriority: 1},
				},
				Checks:  []control.Check{{Name: "haproxy", Up: true, Detail: "pid 7", Since: now.Add(-25 * time.Hour)}},
				Targets: []control.Target{{Node: "haa", Address: "10.0.0.11", State: "drain", Self: true}},
				XDP:     control.XDP{Mode: "off", Reason: "not asked for"},
				Sync:    control.Sync{State: "off"},
			},
			want: `haa: hafast 1.0, up 1m30s
drained: this host takes over nothing while another can; 'hafast ready' ends it

INSTANCE   VRID  INTERFACE  STATE   SINCE                       PRIORITY  ACTIVE     VIPS
VI_1       51    eth0       backup  2026-01-02 11:59:00 (1m0s)  101/0     10.0.0.12  10.0.0.1
long_name  5     bond0      fault   -                           1/1       -          -
VI_1 is out of service here: drained
long_name is in fault: bond0 is down

CHECK    STATE  SINCE                       DETAIL
haproxy  up     2026-01-01 11:00:00 (1d1h)  pid 7

TARGET      ADDRESS    STATE  SERVICES  DETAIL
haa (here)  10.0.0.11  drain  0         -

xdp: off (not asked for)
`,
		},
		{
			name: "a data path",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90,
				Targets: []control.Target{
					{Node: "haa", Address: "10.0.0.11", State: "drain", Self: true, Place: new(0), Services: 2, Reason: "drained", Connections: new(12)},
					{Node: "hab", Address: "10.0.0.12", State: "up", Place: new(1), Services: 2},
					{Address: "10.0.0.13", State: "unknown", Reason: "nothing heard yet"},
				},
				Liveness: []control.Liveness{
					{
						Peer: "hab", Address: "10.0.0.12", State: "up", IntervalMS: 2, Multiplier: 3, RTTMicroseconds: 119.6,
						Sent: 45120, Answered: 45116, Missed: 3, LongestMiss: 1, Since: now.Add(-time.Minute),
					},
					{Address: "10.0.0.13", State: "none", IntervalMS: 2.5, Multiplier: 3},
				},
				XDP: control.XDP{
					Mode: "native", Interfaces: []control.XDPInterface{{Name: "eth0", Mode: "native"}, {Name: "eth1", Mode: "native", Adopted: true}},
					Lease: &control.Lease{Fresh: true, RemainingMS: 81.5},
					Services: []control.XDPService{
						{VIP: "10.0.0.1", Port: 443, Proto: "tcp", Targets: []string{"haa", "hab"}},
						{VIP: "fd00::1", Port: 443, Proto: "udp"},
					},
					Flows: 512, FlowCapacity: 262144, Counters: map[string]uint64{"tx_flow": 7},
				},
				Sync: control.Sync{
					State: "in_sync",
					Peers: []control.SyncPeer{{Node: "hab", Address: "10.9.0.12", State: "in_sync", Covered: true, Lag: &control.SyncLag{P50MS: 0.85, P99MS: 3}}},
				},
			},
			want: `haa: hafast 1.0, up 1m30s

TARGET      ADDRESS    STATE    SERVICES  DETAIL
haa (here)  10.0.0.11  drain    2         drained; 12 connections left
hab         10.0.0.12  up       2         -
-           10.0.0.13  unknown  0         nothing heard yet

PEER  ADDRESS    STATE  SINCE                       PROBES     RTT    MISSED
hab   10.0.0.12  up     2026-01-02 11:59:00 (1m0s)  2ms x 3    120us  3 of 45120, 1 in a row at most
-     10.0.0.13  none   -                           2.5ms x 3  -      -

SERVICE   PORT     TARGETS
10.0.0.1  443/tcp  haa, hab
fd00::1   443/udp  -

xdp: native on eth0, eth1
lease: fresh, 82ms left
flows: 512, room for 262144
sync: in sync with hab (10.9.0.12), lag 850us (p99 3.0ms), 0 flows unprotected
`,
		},
		{
			name: "a data path in trouble",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90,
				XDP: control.XDP{
					Mode: "mixed", Interfaces: []control.XDPInterface{
						{Name: "eth0", Mode: "native"},
						{Name: "eth1", Mode: "generic", Reason: "the driver has no XDP"},
						{Name: "eth2", Mode: "off", Reason: "another program is there"},
					},
					Lease: &control.Lease{RemainingMS: -3, Lapses: 1}, FlowCapacity: 10,
				},
			},
			want: `haa: hafast 1.0, up 1m30s

xdp: mixed
  eth0: native
  eth1: generic (the driver has no XDP)
  eth2: off (another program is there)
lease: run out, this host does not answer for virtual addresses; ran out once so far
flows: 0, room for 10
`,
		},
		{
			name: "a data path that did not come about",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90,
				XDP: control.XDP{
					Mode: "off", Fallback: true, Reason: "the kernel refuses the XDP program: the verifier says: R0 invalid",
					Remedy: "use another kernel",
				},
			},
			want: `haa: hafast 1.0, up 1m30s

xdp: off, and should not be: this host is a plain VRRP daemon (the kernel refuses the XDP program: the verifier says: R0 invalid)
  remedy: use another kernel
`,
		},
		{
			name: "a data path on an old kernel",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90,
				XDP: control.XDP{
					Mode: "native", Interfaces: []control.XDPInterface{{Name: "eth0", Mode: "native"}},
					Lacks: []string{"this kernel has no loops: one at a time"},
				},
			},
			want: `haa: hafast 1.0, up 1m30s

xdp: native on eth0
  this kernel has no loops: one at a time
`,
		},
		{
			name: "generic for one reason, and an interface that is missing for another",
			status: control.Status{
				Node: "haa", Version: "1.0", Uptime: 90,
				XDP: control.XDP{
					Mode: "generic", Reason: "the driver has no XDP", Interfaces: []control.XDPInterface{
						{Name: "eth0", Mode: "generic", Reason: "the driver has no XDP"},
						{Name: "eth1", Mode: "off", Reason: "not there yet"},
					},
					Lease: &control.Lease{Fresh: true, RemainingMS: 99, Lapses: 2},
				},
			},
			want: `haa: hafast 1.0, up 1m30s

xdp: generic on eth0, eth1 (the driver has no XDP)
  eth1: off (not there yet)
lease: fresh, 99ms left; ran out 2 times so far
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, statusText(tt.status, now)); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

// A thousand services do not push the rest off the screen.
func TestServicesTextIsBounded(t *testing.T) {
	for _, tt := range []struct {
		services, lines int
		last            string
	}{
		{8, 8, "10.0.0.8  443/tcp  haa"},
		{9, 9, "10.0.0.9  443/tcp  haa"}, // Naming it takes no more room than counting it.
		{1000, 9, "and 992 more"},
	} {
		var services []control.XDPService
		for i := range tt.services {
			services = append(services, control.XDPService{VIP: fmt.Sprintf("10.0.0.%d", i+1), Port: 443, Proto: "tcp", Targets: []string{"haa"}})
		}
		var b strings.Builder
		servicesText(&b, services)
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if got := lines[len(lines)-1]; len(lines) != 1+tt.lines || got != tt.last {
			t.Errorf("%d services take %d lines that end with %q, want 1+%d and %q", tt.services, len(lines), got, tt.lines, tt.last)
		}
	}
}

// A shorter picture leaves nothing of a longer one on the terminal.
func TestOverdraw(t *testing.T) {
	if got, want := overdraw("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
