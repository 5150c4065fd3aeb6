// SPDX-License-Identifier: Apache-2.0

// Package internal_test holds the packages to their plan.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the plan of docs/ARCHITECTURE.md: what a package may import of
// ours. Whoever adds a package adds its line.
var mayImport = map[string][]string{
	"pkg/vrrp":             {},
	"pkg/loader":           {"internal/flock"},
	"pkg/conntrack/record": {},
	"pkg/conntrack/wire":   {"pkg/conntrack/record"},
	"pkg/conntrack/stream": {"pkg/conntrack/wire"},
	// for tests
	"pkg/conntrack/stream/simnet": {},
	"pkg/conntrack":               {"pkg/conntrack/record", "pkg/conntrack/stream", "pkg/conntrack/wire"},
	"pkg/conntrack/nfct":          {"internal/nlmsg", "pkg/conntrack/record"},
	"internal/steering":           {},
	"internal/bfd":                {},
	"internal/neighbor":           {},
	"internal/nlmsg":              {},
	"internal/sockets":            {"internal/config", "internal/nlmsg"},
	"internal/membership":         {"internal/steering"},
	"internal/peers":              {"internal/bfd", "internal/membership", "internal/steering", "pkg/vrrp"},
	"internal/process":            {"internal/config"},
	"internal/statesync": {
		"internal/membership", "internal/throttle", "pkg/conntrack", "pkg/conntrack/nfct", "pkg/conntrack/record",
		"pkg/conntrack/wire", "pkg/loader",
	},
	"internal/datapath":    {"internal/bfd", "internal/steering", "pkg/loader"},
	"internal/config":      {"internal/steering"},
	"internal/clock":       {},
	"internal/flock":       {},
	"internal/spawn":       {},
	"internal/throttle":    {},
	"internal/serve":       {},
	"internal/control":     {"internal/flock", "internal/serve"},
	"internal/metrics":     {"internal/serve", "internal/steering", "pkg/vrrp"},
	"internal/keepalived":  {"internal/config"},
	"internal/advert":      {"pkg/vrrp"},
	"internal/link":        {"internal/config", "internal/nlmsg"},
	"internal/eventually":  {}, // for tests
	"internal/link/nstest": {}, // for tests
	"internal/announce":    {"internal/config"},
	"internal/health":      {"internal/config", "internal/spawn"},
	"internal/notify":      {"internal/spawn"},
	"internal/ownership":   {"internal/config", "internal/link", "internal/announce", "pkg/vrrp"},
	"internal/check":       {"internal/config", "internal/control", "internal/link", "internal/spawn", "pkg/loader"},
	"internal/daemon": {
		"internal/advert", "internal/announce", "internal/clock", "internal/config", "internal/control",
		"internal/datapath", "internal/health", "internal/link", "internal/bfd", "internal/metrics",
		"internal/neighbor", "internal/notify", "internal/ownership", "internal/membership", "internal/peers", "internal/process", "internal/sockets", "internal/spawn",
		"internal/steering", "internal/statesync", "internal/throttle", "pkg/conntrack", "pkg/conntrack/nfct",
		"pkg/conntrack/wire", "pkg/loader", "pkg/vrrp",
	},
	"cmd/hafast": {
		"internal/check", "internal/config", "internal/control", "internal/daemon", "internal/keepalived",
	},
}

func TestImportsRunDownward(t *testing.T) {
	const module = "hafast/"
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	seen := make(map[string]bool)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(pkg.ImportPath, module)
		seen[name] = true
		if strings.HasPrefix(name, "test/") || name == "internal" {
			continue
		}
		allowed, planned := mayImport[name]
		if !planned {
			t.Errorf("%s is not in the plan", name)
			continue
		}
		for _, imported := range pkg.Imports {
			if of, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, of) {
				t.Errorf("%s imports %s, which the plan does not have", name, of)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("%s is in the plan but not in the tree", name)
		}
	}
}
