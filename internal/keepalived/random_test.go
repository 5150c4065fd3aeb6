// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRandomFilesLoadOrWarn draws files from words that get into each other's way:
// what is written for them loads, or a warning names the line.
func TestRandomFilesLoadOrWarn(t *testing.T) {
	addrs := []string{"10.0.0.1", "10.0.0.2/24", "10.0.0.0/24", "10.0.0.255/24", "127.0.0.1", "fd00::1/64", "fe80::1", "::ffff:10.0.0.3/120", "224.0.0.1", "10.0.0.4/0"}
	lines := []string{
		"unicast_src_ip %s", "mcast_src_ip %s", "unicast_peer {\n%s\n%s\n}", "virtual_ipaddress {\n%s\n%s\n}", "virtual_ipaddress_excluded {\n%s\n%s\n}",
		"virtual_routes {\n%s via %s\n}", "version 3", "priority 255", "state MASTER", "nopreempt", "v3_checksum_as_v2", "interface eth1", "advert_int 0.3",
		"authentication {\nauth_type PASS\nauth_pass a\n}", "track_script {\ns\n}", "notify_master \"it's > x\"", "virtual_router_id 7", "use_vmac",
	}
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var text strings.Builder
		text.WriteString("vrrp_script s {\nscript /bin/true\nweight 2\n}\n")
		for i := range 1 + rng.IntN(3) {
			fmt.Fprintf(&text, "vrrp_instance I%d {\ninterface eth0\nvirtual_router_id %d\n", i, 1+i)
			for range rng.IntN(8) {
				line := lines[rng.IntN(len(lines))]
				for strings.Contains(line, "%s") {
					line = strings.Replace(line, "%s", addrs[rng.IntN(len(addrs))], 1)
				}
				text.WriteString(line + "\n")
			}
			text.WriteString("}\n")
		}
		fsys := memory{"k": text.String()}
		got, err := importFrom(fsys, []string{"k"})
		if err != nil {
			t.Fatal(err)
		}
		if loadsOrWarned(t, fsys, got); t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text.String())
		}
	}
}
