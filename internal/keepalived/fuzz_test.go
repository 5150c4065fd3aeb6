package keepalived

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"hafast/internal/config"
)

// FuzzImport: any input gives either a *SyntaxError or YAML that parses, the
// same each time, in which every warning stands as a comment.
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
	f.Add("include other\nvrrp_instance A {", "}\n$A=\\\nb\n")
	f.Add("$A=${A}\n$A", "@x ~SEQ(a,1,2) {")
	f.Fuzz(func(t *testing.T, main, other string) {
		fsys := memory{"k": main, "other": other}
		got, err := importFrom(fsys, []string{"k"})
		if err != nil {
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
		if _, err := config.Parse("hafast.yaml", got.YAML); err != nil {
			for e := range strings.SplitSeq(err.Error(), "\n") {
				if strings.Contains(e, "unknown key") || strings.Contains(e, "duplicate key") {
					t.Errorf("%s\n%s", e, got.YAML)
				}
			}
		}
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
