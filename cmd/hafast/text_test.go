package main

import (
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
				Targets: []control.Target{{Node: "haa", Address: "10.0.0.11", State: "drain"}},
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

TARGET  ADDRESS    STATE
haa     10.0.0.11  drain

xdp: off (not asked for)
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

// A shorter picture leaves nothing of a longer one on the terminal.
func TestOverdraw(t *testing.T) {
	if got, want := overdraw("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
