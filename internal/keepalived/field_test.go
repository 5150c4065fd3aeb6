// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hafast/internal/config"
)

// two is a configuration of two instances, with lines of their own.
func two(first, second string) string {
	return "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\npriority 90\n" + first + "\n}\n" +
		"vrrp_instance B {\ninterface eth0\nvirtual_router_id 2\npriority 90\n" + second + "\n}\n"
}

// fieldCases are what people have in their files and keepalived takes. Each loads,
// and has a warning with the given words, or none at all.
var fieldCases = []struct {
	name, text, warns string
	holds             func(*config.Config) bool
}{
	{
		"lengths on source and peers", oneInstance("unicast_src_ip 10.0.0.9/24", "unicast_peer {\n10.0.0.8/24\n}"), "",
		func(c *config.Config) bool {
			in := c.Instances[0]
			return in.Unicast && in.Source.String() == "10.0.0.9" && in.Peers[0].String() == "10.0.0.8"
		},
	},
	{
		"excluded addresses alone", strings.Replace(oneInstance(), "virtual_ipaddress", "virtual_ipaddress_excluded", 1), "10.0.0.1 is advertised",
		func(c *config.Config) bool { return c.Instances[0].VIPs[0].Advertise },
	},
	{
		"own address among peers", oneInstance("unicast_src_ip 10.0.0.9", "unicast_peer {\n10.0.0.9\n10.0.0.8\n}"), "this host's own address",
		func(c *config.Config) bool { return len(c.Peers) == 1 && c.Instances[0].Unicast },
	},
	{
		"peer twice", oneInstance("unicast_peer {\n10.0.0.8\n10.0.0.8\n}"), "there twice",
		func(c *config.Config) bool { return len(c.Peers) == 1 },
	},
	{
		"loopback peer", oneInstance("unicast_peer {\n127.0.0.1\n}"), "not the address of a host",
		func(c *config.Config) bool { return !c.Instances[0].Unicast },
	},
	{
		"VIP among peers", oneInstance("unicast_peer {\n10.0.0.1\n10.0.0.8\n}"), "is a VIP",
		func(c *config.Config) bool { return len(c.Peers) == 1 },
	},
	{
		"VIP as source", oneInstance("mcast_src_ip 10.0.0.1"), "source 10.0.0.1 is a VIP",
		func(c *config.Config) bool { return !c.Instances[0].Source.IsValid() },
	},
	{
		"too many peers", oneInstance("unicast_peer {\n10.0.1.1\n10.0.1.2\n10.0.1.3\n10.0.1.4\n10.0.1.5\n10.0.1.6\n10.0.1.7\n10.0.1.8\n10.0.1.9\n" +
			"10.0.1.10\n10.0.1.11\n10.0.1.12\n10.0.1.13\n10.0.1.14\n10.0.1.15\n10.0.1.16\n10.0.1.17\n}"), "10.0.1.16 and all after it (2 in all)",
		func(c *config.Config) bool { return len(c.Peers) == 15 && len(c.Instances[0].Peers) == 17 },
	},
	{
		"VIP in two instances", two("virtual_ipaddress {\n10.0.0.1\n}", "virtual_ipaddress {\n10.0.0.2\n10.0.0.1\n}"), "of vrrp_instance A already",
		func(c *config.Config) bool { return len(c.Instances[1].VIPs) == 1 },
	},
	{
		"one link-local address on two links", two("version 3\nvirtual_ipaddress {\nfe80::1\n}", "version 3\nvirtual_ipaddress {\nfe80::1 dev eth1\n}"), "",
		func(c *config.Config) bool { return len(c.Instances[0].VIPs) == 1 && len(c.Instances[1].VIPs) == 1 },
	},
	{
		"network address as VIP", oneInstance("virtual_ipaddress {\n10.0.1.0/24\n}"), "network or broadcast address",
		func(c *config.Config) bool { return len(c.Instances[0].VIPs) == 1 },
	},
	{
		"peers differ", two("virtual_ipaddress {\n10.0.0.1\n}\nunicast_peer {\n10.0.0.8\n}", "virtual_ipaddress {\n10.0.0.2\n}\nunicast_peer {\n10.0.0.7\n}"), "names other peers than A",
		func(c *config.Config) bool {
			return len(c.Peers) == 2 && len(c.Instances[0].Peers) == 1 && len(c.Instances[1].Peers) == 1
		},
	},
	{
		"nopreempt with a weight", "vrrp_script s {\nscript \"/bin/true\"\nweight 2\n}\n" + oneInstance("nopreempt", "track_script {\ns\n}"), "never moves the VIP",
		func(c *config.Config) bool { return !c.Instances[0].Preempt },
	},
	{
		"one brace too many", oneInstance() + "}\nglobal_defs {\nrouter_id r\n}\n", "unexpected }",
		func(c *config.Config) bool { return c.Node == "r" },
	},
	{
		"keyword of instances in global_defs", "global_defs {\ngarp_master_delay 3\n}\n" + oneInstance(), "keepalived knows it in a vrrp_instance alone",
		func(c *config.Config) bool { return c.Announce.RepeatDelay.Seconds() == 5 },
	},
	{
		"keyword of global_defs in an instance", oneInstance("vrrp_garp_master_refresh 44"), "keepalived knows it in global_defs alone",
		func(c *config.Config) bool { return c.Announce.Refresh.Seconds() == 60 },
	},
	{
		"redirection in quotes", oneInstance(`notify_master "/bin/n >> /tmp/log 2>&1"`), "keepalived has no shell",
		func(c *config.Config) bool { return c.Instances[0].Notify.Active == "/bin/n >> /tmp/log 2>&1" },
	},
	{
		"redirection without quotes", oneInstance("notify_master /bin/n >> /tmp/log 2>&1"), `takes ">>" for a user`,
		func(c *config.Config) bool {
			n := c.Instances[0].Notify
			return n.Active == "/bin/n >> /tmp/log 2>&1" && n.User == ""
		},
	},
	{
		"process with parameters in quotes", "vrrp_track_process p {\nprocess \"/usr/sbin/haproxy -f /etc/haproxy.cfg\"\nfull_command\n}\n" + oneInstance("track_process {\np\n}"), "taken as \"haproxy\"",
		func(c *config.Config) bool { return c.Instances[0].Track.Processes[0].Name == "haproxy" },
	},
	{
		"checksum without pseudo-header", oneInstance("version 3", "v3_checksum_as_v2"), "",
		func(c *config.Config) bool { return c.Instances[0].Checksum == "rfc9568" },
	},
	{
		"checksum for all", "global_defs {\nvrrp_version 3\nv3_checksum_as_v2 on\n}\n" + oneInstance(), "",
		func(c *config.Config) bool { return c.Instances[0].Checksum == "rfc9568" },
	},
	{
		"value from the environment", oneInstance("priority ${_ENV PRIORITY}"), "${_ENV} is known to a running keepalived alone",
		func(c *config.Config) bool { return c.Instances[0].Priority == 100 },
	},
	{
		"rules", oneInstance("virtual_rules {\nfrom 10.7.0.0/16 table 7\n}"), "ip rule add from 10.7.0.0/16 table 7",
		func(*config.Config) bool { return true },
	},
	{
		"signed adverts", oneInstance("auth_hmac {\nkey 1 hush-hush\n}"), "neither signs adverts nor looks at signatures",
		func(*config.Config) bool { return true },
	},
}

func TestFieldReports(t *testing.T) {
	for _, tc := range fieldCases {
		t.Run(tc.name, func(t *testing.T) {
			c, warnings := imported(t, tc.text)
			says := func(w Warning) bool { return strings.Contains(w.Text, tc.warns) }
			switch {
			case tc.warns == "" && len(warnings) > 0, tc.warns != "" && !slices.ContainsFunc(warnings, says):
				t.Errorf("want %q, warnings %v", tc.warns, warnings)
			case !tc.holds(c):
				t.Errorf("imported as %+v, peers %v", c.Instances, c.Peers)
			}
			for _, w := range warnings {
				if strings.Contains(w.Text, "hush") {
					t.Errorf("a secret is shown: %s", w)
				}
			}
		})
	}
}

// TestWhatCannotLoadIsNamed: where hafast has no way to load what a file asks
// for, the warning names the line.
func TestWhatCannotLoadIsNamed(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		line       int
	}{
		{"one vrid twice", strings.Replace(two("virtual_ipaddress {\n10.0.0.1\n}", "virtual_ipaddress {\n10.0.0.2\n}"), "id 2", "id 1", 1), 11},
		{"no vrid", strings.Replace(oneInstance(), "virtual_router_id 1", "", 1), 1},
		{"no interface", strings.Replace(oneInstance(), "interface eth0", "", 1), 1},
		{"no address", "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\n}\n", 1},
		{"gateway of another family", oneInstance("virtual_routes {\n10.7.0.0/16 via fd07::1\n}"), 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fsys := memory{"k": tc.text}
			got, err := importFrom(fsys, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := config.Parse("hafast.yaml", got.YAML); err == nil {
				t.Errorf("it loads:\n%s", got.YAML)
			}
			if !slices.ContainsFunc(got.Warnings, func(w Warning) bool { return w.Line == tc.line }) {
				t.Errorf("no warning on line %d: %v", tc.line, got.Warnings)
			}
			loadsOrWarned(t, fsys, got)
		})
	}
}

func TestNoInstance(t *testing.T) {
	for text, lvs := range map[string]bool{
		"virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.2 80 {\n}\n}\n": true,
		"global_defs {\nrouter_id a\n}\n":                                 false,
	} {
		got, err := importFrom(memory{"k": text}, []string{"k"})
		var none *NoInstanceError
		if !errors.As(err, &none) || none.LVS != lvs || got.YAML != nil {
			t.Errorf("%q: %v, %q", text, err, got.YAML)
		}
	}
}
