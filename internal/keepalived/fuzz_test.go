// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"hafast/internal/config"
)

// FuzzImport: any input gives either an error or YAML that loads, the same each
// time, in which every warning stands as a comment. What does not load has been
// warned of at the very line it stems from.
func FuzzImport(f *testing.F) {
	for _, pattern := range []string{"testdata/*.conf", "testdata/torture/*.conf", "testdata/torture/*/*"} {
		seeds, err := filepath.Glob(pattern)
		if err != nil || len(seeds) == 0 {
			f.Fatal(pattern, err)
		}
		for _, seed := range seeds {
			data, err := os.ReadFile(seed)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data), "")
		}
	}
	for _, tc := range fieldCases {
		f.Add(tc.text, "")
	}
	f.Add("\n vrrp_instance 00", "") // what is missing is on the first line, its warning on the second
	f.Add("include other\nvrrp_instance A {", "}\n$A=\\\nb\n")
	f.Add("$A=${A}\n$A", "@x ~SEQ(a,1,2) {")
	f.Fuzz(func(t *testing.T, main, other string) {
		fsys := memory{"k": main, "other": other}
		got, err := importFrom(fsys, []string{"k"})
		if err != nil {
			var none *NoInstanceError
			if errors.As(err, &none) && got.YAML == nil {
				return
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.File == "" || syntax.Text == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		var out map[string]any
		if err := yaml.Unmarshal(got.YAML, &out); err != nil {
			t.Fatalf("%v\n%s", err, got.YAML)
		}
		loadsOrWarned(t, fsys, got)
		again, err := importFrom(fsys, []string{"k"})
		if err != nil || !bytes.Equal(got.YAML, again.YAML) {
			t.Fatalf("second import differs: %v\n%s", err, again.YAML)
		}
		comments := unfold(string(got.YAML))
		for _, w := range got.Warnings {
			if w.Line < 1 || w.File == "" {
				t.Errorf("warning without a place: %+v", w)
			}
			if !strings.Contains(comments, unfold(printable(w.String()))) {
				t.Errorf("warning is no comment: %s\n%s", w, got.YAML)
			}
		}
	})
}

// loadsOrWarned holds import to its word: each problem that config.Parse has with
// what was written belongs to a line that a warning names.
func loadsOrWarned(t *testing.T, fsys files, got Result) {
	t.Helper()
	_, err := config.Parse("hafast.yaml", got.YAML)
	var problems config.Errors
	if !errors.As(err, &problems) {
		return
	}
	tr := newTranslator()
	root, err := parseFile(fsys, "k", tr.warnAt)
	if err != nil {
		t.Fatal(err)
	}
	tr.meet("k")
	tr.doc.sources = []string{"k"}
	tr.read(root)
	tr.finish()
	if _, err := tr.emit(); err != nil {
		t.Fatal(err)
	}
	_, origins := emit(tr.doc)
	for _, p := range problems {
		if strings.Contains(p.Text, "unknown key") || strings.Contains(p.Text, "duplicate key") {
			t.Errorf("%s\n%s", p, got.YAML)
		}
		at := place{"k", 1}
		if p.Line <= len(origins) && origins[p.Line-1].line > 0 {
			at = origins[p.Line-1]
		}
		// An interface at the top would do for every instance: its lack is one's that names none.
		topless := strings.Contains(p.Text, "key interface is missing")
		named := func(w Warning) bool {
			return w.File == at.file && w.Line == at.line || topless && strings.Contains(w.Text, "names no interface")
		}
		if !slices.ContainsFunc(got.Warnings, named) {
			t.Errorf("%s: no warning at %v: %v\n%s", p, at, got.Warnings, got.YAML)
		}
	}
}
