// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/config"
	"hafast/test/netns/lab"
)

func TestVIPsAreDistinct(t *testing.T) {
	for _, plan := range []Plan{OneInstance(1000, time.Second), ManyInstances(255, time.Second)} {
		seen := make(map[string]bool)
		for _, v := range plan.VIPs() {
			if seen[v.String()] {
				t.Errorf("%s comes twice", v)
			}
			seen[v.String()] = true
		}
		if !seen[lab.VIP.String()] {
			t.Error("the lab's own VIP is missing, by which it tells the Active")
		}
	}
	if last := vip(MaxVIPs - 1).String(); last != "10.225.255.250" {
		t.Errorf("the last address is %s", last)
	}
}

func TestHafastConfigSaysWhatThePlanSays(t *testing.T) {
	s := site{Node: "haa", Peer: "10.224.147.167", Priority: 101, PIDFile: "/h/pid", Socket: "/h/sock", StateDir: "/h/state", BPFDir: "/h/bpf"}
	for _, plan := range []Plan{OneInstance(1000, 10*time.Millisecond), ManyInstances(255, 100*time.Millisecond)} {
		t.Run(fmt.Sprintf("%d instances", len(plan.Instances)), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hafast.yaml")
			if err := os.WriteFile(path, []byte(plan.hafastConfig(s)), 0o644); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			got := Plan{Interval: cfg.Instances[0].AdvertInterval}
			for _, in := range cfg.Instances {
				read := Instance{VRID: in.VRID}
				for _, v := range in.VIPs {
					read.VIPs = append(read.VIPs, v.Prefix.Addr())
				}
				got.Instances = append(got.Instances, read)
				if in.Priority != 101 || in.AdvertInterval != plan.Interval {
					t.Fatalf("%s has priority %d and interval %s", in.Name, in.Priority, in.AdvertInterval)
				}
			}
			if diff := cmp.Diff(plan, got, cmp.Comparer(func(a, b Instance) bool {
				return a.VRID == b.VRID && join(a.VIPs, " ") == join(b.VIPs, " ")
			})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeepalivedConfig(t *testing.T) {
	s := site{Priority: 100, State: "BACKUP", Script: "/h/check"}
	t.Run("small", func(t *testing.T) {
		want := `global_defs {
	script_user root
	vrrp_version 3
	vrrp_rt_priority 50
	vrrp_rlimit_rttime 10000000
}
vrrp_script chk_haproxy {
	script "/h/check"
	interval 1
	weight 2
}
vrrp_instance VI_51 {
	interface eth0
	state BACKUP
	virtual_router_id 51
	priority 100
	advert_int 0.01
	virtual_ipaddress {
		10.224.147.208
		10.225.0.2
	}
	track_script {
		chk_haproxy
	}
}
`
		if diff := cmp.Diff(want, OneInstance(2, 10*time.Millisecond).keepalivedConfig(s)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what no advert can list is excluded from it", func(t *testing.T) {
		text := OneInstance(1000, time.Second).keepalivedConfig(s)
		_, text, _ = strings.Cut(text, "virtual_ipaddress {")
		listed, excluded, ok := strings.Cut(text, "virtual_ipaddress_excluded {")
		if !ok || strings.Count(listed, "\t10.") != maxAdvertised || strings.Count(excluded, "\t10.") != 1000-maxAdvertised {
			t.Errorf("%d listed and %d excluded", strings.Count(listed, "\t10."), strings.Count(excluded, "\t10."))
		}
	})
}
