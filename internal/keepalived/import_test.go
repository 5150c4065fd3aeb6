// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"hafast/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// goldenCases are imported from within testdata, so that messages name the
// files as a person in /etc/keepalived would.
var goldenCases = []struct {
	name  string
	files []string
}{
	{"seed-host1", []string{"seed-host1.conf"}},
	{"seed-host2", []string{"seed-host2.conf"}},
	{"openstack", []string{"openstack.conf"}},
	{"torture", []string{"torture/keepalived.conf"}},
	{"families", []string{"families.conf"}},
	{"unicast", []string{"unicast.conf"}},
	{"haproxy-kept", []string{"haproxy-kept.conf"}},
	{"lvs", []string{"lvs.conf"}},
	{"sync", []string{"sync.conf", "conntrackd.conf"}},
	{"conntrackd-multicast", []string{"conntrackd-multicast.conf"}},
}

func TestGolden(t *testing.T) {
	t.Chdir("testdata")
	for _, tc := range goldenCases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Import(tc.files)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name+".yaml", string(got.YAML))
			golden(t, tc.name+".warnings", warningLines(got.Warnings))
			for _, w := range got.Warnings {
				if !strings.Contains(unfold(string(got.YAML)), unfold(printable(w.String()))) {
					t.Errorf("warning is no comment in the YAML: %s", w)
				}
			}
		})
	}
}

// TestGoldenLoads reads each golden file as the daemon would.
func TestGoldenLoads(t *testing.T) {
	for _, tc := range goldenCases {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join("testdata", tc.name+".yaml")
			if tc.name == "conntrackd-multicast" {
				// A sync section alone: it belongs under a whole configuration.
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				path = filepath.Join(t.TempDir(), "hafast.yaml")
				whole = append(whole, "interface: eth0\ninstances: [{vrid: 51, vips: [10.0.0.1]}]\n"...)
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := config.Load(path); err != nil {
				t.Errorf("imported configuration does not load:\n%v", err)
			}
		})
	}
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func warningLines(warnings []Warning) string {
	var out strings.Builder
	for _, w := range warnings {
		out.WriteString(w.String() + "\n")
	}
	return out.String()
}

// unfold undoes the folding of comments.
func unfold(s string) string {
	var words []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		words = append(words, strings.Fields(line)...)
	}
	return strings.Join(words, " ")
}
