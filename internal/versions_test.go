// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"hafast/internal/membership"
	"hafast/pkg/conntrack/wire"
)

// versionTable returns the rows of one table of docs/VERSIONS.md, cell by cell, without
// its two lines of heading.
func versionTable(t *testing.T, name string) [][]string {
	t.Helper()
	text := readFile(t, "../docs/VERSIONS.md")
	_, text, found := strings.Cut(text, "<!-- "+name+" -->\n")
	table, _, ended := strings.Cut(text, "<!-- end -->")
	if !found || !ended {
		t.Fatalf("docs/VERSIONS.md has no table between <!-- %s --> and <!-- end -->", name)
	}
	var rows [][]string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("the table %s has %d lines", name, len(rows))
	}
	return rows[2:]
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestVersions: whoever changes a version number says so in docs/VERSIONS.md.
func TestVersions(t *testing.T) {
	abi := regexp.MustCompile(`(?m)^#define ABI_VERSION (\d+)$`).FindStringSubmatch(readFile(t, "../bpf/abi.h"))
	if abi == nil {
		t.Fatal("bpf/abi.h has no ABI_VERSION")
	}
	want := []string{
		"next", abi[1], fmt.Sprint(membership.Version), fmt.Sprint(wire.FormatVersion),
		fmt.Sprintf("%d to %d", wire.LowestVersion, wire.HighestVersion),
	}
	releases := versionTable(t, "releases")
	if d := cmp.Diff(want, releases[0]); d != "" {
		t.Errorf("the first row of the releases in docs/VERSIONS.md (-code +page):\n%s", d)
	}
	if wire.LowestVersion > max(wire.HighestVersion-1, 1) {
		t.Errorf("this release understands records of %d to %d: hosts of the version before cannot be upgraded one by one",
			wire.LowestVersion, wire.HighestVersion)
	}
}

// TestReleases: each release of the changelog says which versions it has.
func TestReleases(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range versionTable(t, "releases")[1:] {
		listed[row[0]] = true
	}
	released := regexp.MustCompile(`(?m)^## \[?(\d+\.\d+\.\d+[^\] ]*)\]?`)
	for _, match := range released.FindAllStringSubmatch(readFile(t, "../CHANGELOG.md"), -1) {
		if !listed[match[1]] {
			t.Errorf("docs/VERSIONS.md has no row for release %s: copy that of next", match[1])
		}
	}
}

// TestPins: a layout that differs from the one on record is a reason to think of
// ABI_VERSION.
func TestPins(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("../pkg/loader/hafast_bpfel.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range versionTable(t, "pins") {
		name := strings.Trim(row[0], "`")
		m := spec.Maps[name]
		if m == nil {
			t.Errorf("docs/VERSIONS.md has a map %s, and the object has none", name)
			continue
		}
		if got := []string{fmt.Sprint(m.KeySize), fmt.Sprint(m.ValueSize)}; !cmp.Equal(got, row[1:3]) {
			t.Errorf("%s has keys and values of %v bytes, docs/VERSIONS.md says %v: does ABI_VERSION in bpf/abi.h have to be raised?",
				name, got, row[1:3])
		}
	}
}
