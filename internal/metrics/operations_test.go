// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hafast/internal/metrics"
)

// operations is where metrics and alerts are explained to users.
const operations = "../../docs/OPERATIONS.md"

// everything is exercise with what other packages keep.
func everything() *metrics.Metrics {
	m := metrics.New("1.0")
	exercise(m)
	watching(m)
	watchingSync(m)
	zero := func() uint64 { return 0 }
	m.WatchCounts(metrics.Counts{ClaimsMalformed: zero, NotifyDropped: zero, NotifyFailed: zero})
	return m
}

// Every metric that the documentation names is there.
func TestDocumentedMetricsExist(t *testing.T) {
	doc, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	body := scrape(t, everything())
	names := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bhafast_[a-z_]+`).FindAllString(string(doc), -1) {
		names[name] = true
	}
	if len(names) < 10 {
		t.Fatalf("%d metrics found in %s", len(names), operations)
	}
	for name := range names {
		if !strings.Contains(body, "# TYPE "+name+" ") {
			t.Errorf("%s is documented, and not there", name)
		}
	}
}

// Every metric of state sync is documented.
func TestSyncMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	families, err := everything().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if name := family.GetName(); strings.HasPrefix(name, "hafast_sync_") && !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("%s is not in %s", name, operations)
		}
	}
}

func TestPromtoolCheckRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	doc, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(groups:.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) == 0 {
		t.Fatalf("no rules in %s", operations)
	}
	for _, rules := range blocks {
		path := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(path, rules[1], 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s\n%s", err, out, rules[1])
		}
	}
}
