// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licensed are the sources that say on top under which license they are: the first of
// these whose pattern fits a path holds for it.
var licensed = []struct {
	path    *regexp.Regexp
	comment string
	license string
}{
	{regexp.MustCompile(`\.bpf\.c$|^bpf/.*\.h$`), "// ", "GPL-2.0-only OR BSD-2-Clause"},
	{regexp.MustCompile(`(^|/)testdata/`), "", ""}, // read by tests as they are
	{regexp.MustCompile(`\.go$`), "// ", "Apache-2.0"},
	{regexp.MustCompile(`\.sh$|^Makefile$|^\.ci/run$|^\.golangci\.yml$|^\.clang-format$|^\.editorconfig$`), "# ", "Apache-2.0"},
	{regexp.MustCompile(`^test/netns/lab/templates/primary-backup$`), "# ", "Apache-2.0"},
}

var (
	generated  = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	identifier = regexp.MustCompile(`[A-Z][\w.]*-[\w.-]+`)
)

// TestLicenses: whoever takes one file out of the repository finds its license in it.
func TestLicenses(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "out"}, entry.Name()):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		for _, rule := range licensed {
			if !rule.path.MatchString(filepath.ToSlash(strings.TrimPrefix(path, "../"))) {
				continue
			}
			if text := readFile(t, path); rule.license != "" && !generated.MatchString(text) {
				checked++
				checkLicense(t, path, text, rule.comment+"SPDX-License-Identifier: "+rule.license)
			}
			return nil
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("no source was found")
	}
	for _, rule := range licensed {
		for _, name := range identifier.FindAllString(rule.license, -1) {
			if _, err := os.Stat("../LICENSES/" + name + ".txt"); err != nil {
				t.Errorf("the text of %s is missing: %v", name, err)
			}
		}
	}
}

// checkLicense looks for the line at the top, or below the one that names an interpreter.
// In Go an empty line keeps it out of the package's documentation.
func checkLicense(t *testing.T, path, text, want string) {
	t.Helper()
	if strings.HasPrefix(text, "#!") {
		_, text, _ = strings.Cut(text, "\n")
	}
	after, found := strings.CutPrefix(text, want+"\n")
	switch {
	case !found:
		t.Errorf("%s does not begin with %q", path, want)
	case strings.HasSuffix(path, ".go") && !strings.HasPrefix(after, "\n"):
		t.Errorf("%s has no empty line after its license", path)
	}
}
