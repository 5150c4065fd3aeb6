// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"os"
	"strings"
	"testing"

	"hafast/internal/config"
)

// imported imports one file's text and reads the result as the daemon would.
func imported(t *testing.T, text string) (*config.Config, []Warning) {
	t.Helper()
	got, err := importFrom(memory{"k": text}, []string{"k"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("hafast.yaml", got.YAML)
	if err != nil {
		t.Fatalf("%v\n%s", err, got.YAML)
	}
	return c, got.Warnings
}

// oneInstance is an instance with the given lines in it.
func oneInstance(lines ...string) string {
	return "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n" + strings.Join(lines, "\n") + "\n}\n"
}

// TestSeedPairInteroperates: what is imported from one host of the seed must
// talk to keepalived on the other.
func TestSeedPairInteroperates(t *testing.T) {
	for file, priority := range map[string]uint8{"seed-host1.conf": 101, "seed-host2.conf": 100} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		c, warnings := imported(t, string(data))
		if len(warnings) != 0 {
			t.Errorf("%s: warnings %v", file, warnings)
		}
		in := c.Instances[0]
		if in.Version != 2 || in.VRID != 51 || in.Priority != priority || in.VIPs[0].Prefix.String() != "10.224.147.208/32" || in.AdvertInterval.Seconds() != 1 {
			t.Errorf("%s: %+v", file, in)
		}
		if c.HAProxy.Mode != "on" || c.HAProxy.Weight != 2 || len(c.Scripts) != 0 {
			t.Errorf("%s: %+v, scripts %v", file, c.HAProxy, c.Scripts)
		}
	}
}

func TestRecognizeHAProxy(t *testing.T) {
	for _, yes := range []string{
		"pkill -0 haproxy", "/usr/bin/pkill -0 -x haproxy", "killall -0 haproxy", "/usr/bin/killall -q -0 haproxy",
		"sudo -n /usr/bin/killall -0 haproxy", "pidof haproxy", "/sbin/pidof -s /usr/sbin/haproxy", "pgrep haproxy", "pgrep -x haproxy > /dev/null 2>&1",
		"systemctl is-active haproxy", "/bin/systemctl is-active --quiet haproxy.service", "service haproxy status",
		"kill -0 $(cat /var/run/haproxy.pid)", "kill -0 `cat /run/haproxy/haproxy.pid`", `kill -0 "$(pidof haproxy)"`,
	} {
		if recognizeHAProxy(yes) == nil {
			t.Errorf("%s: not recognized", yes)
		}
	}
	for _, no := range []string{
		"", "haproxy", "pkill haproxy", "pkill -9 haproxy", "killall -0 nginx", "pidof haproxy nginx", "pgrep -u haproxy", "pgrep -v haproxy",
		"systemctl restart haproxy", "systemctl is-active nginx", "pidof haproxy && curl -f localhost", "kill -0 1", "kill -9 $(pidof haproxy)",
		"/usr/local/bin/check_haproxy.sh", "kill -0 $(cat /run/nginx.pid)", "haproxy -c -f /etc/haproxy/haproxy.cfg", "pidof haproxy || exit 1",
	} {
		if recognizeHAProxy(no) != nil {
			t.Errorf("%s: taken for a mere look for haproxy", no)
		}
	}
}

func TestHAProxySection(t *testing.T) {
	const script = "vrrp_script c {\nscript \"pidof haproxy\"\nweight 3\n}\n"
	t.Run("weight of the reference", func(t *testing.T) {
		c, _ := imported(t, script+oneInstance("track_script {\nc weight -7\n}"))
		if c.HAProxy.Mode != "on" || c.HAProxy.Weight != -7 {
			t.Errorf("%+v", c.HAProxy)
		}
	})
	t.Run("own pidfile", func(t *testing.T) {
		c, _ := imported(t, strings.Replace(script, "pidof haproxy", "kill -0 $(cat /run/x/haproxy.pid)", 1)+oneInstance("track_script {\nc\n}"))
		if c.HAProxy.Pidfile != "/run/x/haproxy.pid" {
			t.Errorf("%+v", c.HAProxy)
		}
	})
	t.Run("reversed stays out", func(t *testing.T) {
		c, warnings := imported(t, script+oneInstance("track_script {\nc reverse\n}"))
		if c.HAProxy.Mode != "auto" || len(c.Instances[0].Track.Scripts) != 0 || len(warnings) == 0 {
			t.Errorf("%+v %+v %v", c.HAProxy, c.Instances[0].Track, warnings)
		}
	})
}

func TestPreemption(t *testing.T) {
	for _, tc := range []struct {
		name     string
		lines    []string
		preempt  bool
		delay    float64
		priority uint8
		warnings int
	}{
		{"default", nil, true, 0, 100, 0},
		{"backup does not preempt", []string{"state BACKUP", "nopreempt"}, false, 0, 100, 0},
		{"last word wins", []string{"nopreempt", "preempt"}, true, 0, 100, 0},
		{"nopreempt with state MASTER", []string{"state MASTER", "priority 90", "nopreempt"}, true, 0, 90, 1},
		{"nopreempt of the owner", []string{"priority 255", "nopreempt"}, true, 0, 255, 1},
		{"delay", []string{"preempt_delay 4.5"}, true, 4.5, 100, 0},
		{"delay with nopreempt", []string{"nopreempt", "preempt_delay 4"}, false, 0, 100, 1},
		{"delay with state MASTER", []string{"state MASTER", "priority 90", "preempt_delay 4"}, true, 0, 90, 1},
		{"MASTER without priority is the owner", []string{"state MASTER"}, true, 0, 255, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, warnings := imported(t, oneInstance(tc.lines...))
			in := c.Instances[0]
			if in.Preempt != tc.preempt || in.PreemptDelay.Seconds() != tc.delay || in.Priority != tc.priority || len(warnings) != tc.warnings {
				t.Errorf("preempt %v, delay %s, priority %d, warnings %v", in.Preempt, in.PreemptDelay, in.Priority, warnings)
			}
		})
	}
}

func TestAdvertInterval(t *testing.T) {
	for _, tc := range []struct {
		name, lines, want string
		warnings          int
	}{
		{"version 2", "advert_int 3", "3s", 0},
		{"version 2 rounds", "advert_int 1.4", "1s", 1},
		{"version 2 is never 0", "advert_int 0.1", "1s", 1},
		{"version 3", "version 3\nadvert_int 0.92", "920ms", 0},
		{"version 3 rounds", "version 3\nadvert_int 0.015", "20ms", 1},
		{"version 3 ends at 40.95", "version 3\nadvert_int 60", "40.95s", 1},
		{"not a number", "advert_int NaN", "1s", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, warnings := imported(t, oneInstance(tc.lines))
			if got := c.Instances[0].AdvertInterval.String(); got != tc.want || len(warnings) != tc.warnings {
				t.Errorf("got %s, warnings %v", got, warnings)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	for _, tc := range []struct {
		name, lines, want string
		warnings          int
	}{
		{"pass", "authentication {\nauth_type PASS\nauth_pass 1111\n}", "1111", 0},
		{"long", "authentication {\nauth_type PASS\nauth_pass 123456789\n}", "12345678", 1},
		{"single quotes are part of it", "authentication {\nauth_type PASS\nauth_pass 'a\\b'\n}", `'a\b'`, 0},
		{"first word only", "authentication {\nauth_type PASS\nauth_pass a b\n}", "a", 1},
		{"version 3", "version 3\nauthentication {\nauth_type PASS\nauth_pass x\n}", "", 1},
		{"AH", "authentication {\nauth_type AH\nauth_pass x\n}", "", 1},
		{"no type", "authentication {\nauth_pass x\n}", "", 1},
		{"no password", "authentication {\nauth_type PASS\n}", "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, warnings := imported(t, oneInstance(tc.lines))
			if got := c.Instances[0].Password; got != tc.want || len(warnings) != tc.warnings {
				t.Errorf("got %q, warnings %v", got, warnings)
			}
		})
	}
}

// TestPasswordsStayOutOfWarnings: warnings end up in terminals and logs.
func TestPasswordsStayOutOfWarnings(t *testing.T) {
	_, warnings := imported(t, oneInstance("authentication {\nauth_type PASS\nauth_pass hush-hush very quiet\n}"))
	for _, w := range warnings {
		if strings.Contains(w.Text, "hush") || strings.Contains(w.Text, "quiet") {
			t.Errorf("%s", w)
		}
	}
}

// TestOrderDoesNotMatter: a block may stand before what it refers to, or in an
// earlier file.
func TestOrderDoesNotMatter(t *testing.T) {
	parts := memory{
		"group":  "vrrp_sync_group G {\ngroup {\nA\n}\n}\n",
		"inst":   oneInstance("track_script {\ns\n}"),
		"script": "vrrp_script s {\nscript /bin/true\n}\n",
		"global": "global_defs {\nscript_user nobody\nvrrp_version 3\n}\n",
	}
	got, err := importFrom(parts, []string{"group", "inst", "script", "global"})
	if err != nil || len(got.Warnings) != 0 {
		t.Fatalf("%v, warnings %v", err, got.Warnings)
	}
	c, err := config.Parse("hafast.yaml", got.YAML)
	if err != nil {
		t.Fatal(err)
	}
	if c.Instances[0].Version != 3 || c.Scripts[0].User != "nobody" || len(c.Instances[0].Track.Scripts) != 1 || len(c.SyncGroups) != 1 {
		t.Errorf("%+v", c)
	}
}

// TestNotesOfWhatIsDropped: a warning inside a block that is itself left out
// still stands in the YAML.
func TestNotesOfWhatIsDropped(t *testing.T) {
	for name, text := range map[string]string{
		"script without command":  "vrrp_script s {\nfrobnicate\n}\n",
		"untracked haproxy check": "vrrp_script s {\nscript \"pidof haproxy\"\nfrobnicate\n}\n",
		"group without members":   "vrrp_sync_group g {\nfrobnicate\n}\n",
		"announce at default":     strings.ReplaceAll(oneInstance("garp_master_delay 5 frobnicate"), "A {\n", "B {\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := importFrom(memory{"k": text, "i": oneInstance()}, []string{"k", "i"})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got.YAML), "frobnicate") {
				t.Errorf("no comment:\n%s", got.YAML)
			}
		})
	}
}

func TestScalars(t *testing.T) {
	for in, want := range map[string]scalar{
		"eth0": "eth0", "eth0:1": "eth0:1", "a: b": `"a: b"`, "a:": `"a:"`, "yes": `"yes"`, "51": `"51"`, "1:20": `"1:20"`,
		"": `""`, "-x": `"-x"`, "/bin/sh -c x": "/bin/sh -c x", "a #b": `"a #b"`, "a\nb": `"a\x0ab"`, "a\u2028b": `"a\u2028b"`,
		"{a}": `"{a}"`, "é": `"é"`, "a\"b\\": `"a\"b\\"`, "Null": `"Null"`, "\U000e0001": `"\U000e0001"`,
	} {
		if got := text(in); got != want {
			t.Errorf("text(%q) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]scalar{
		"fd00::1": "fd00::1", "fd00::": `"fd00::"`, "::1": `"::1"`, "1:2:3:4:5:6:7:8": `"1:2:3:4:5:6:7:8"`, "10.0.0.1": "10.0.0.1",
	} {
		if got := plainAddress(in); got != want {
			t.Errorf("plainAddress(%q) = %s, want %s", in, got, want)
		}
	}
}
