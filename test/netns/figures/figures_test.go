// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleTable() Table {
	return Table{
		Header: []string{"what", "who", "how much"},
		Names:  2,
		Rows: [][]string{
			{"walk", "one", "1"},
			{"walk", "two", "22"},
			{"run", "one", ""},
		},
	}
}

func TestTextNamesAGroupOnce(t *testing.T) {
	var b strings.Builder
	if err := sampleTable().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `
what  who  how much
walk  one  1
      two  22

run   one
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdownAlignsFiguresToTheRight(t *testing.T) {
	var b strings.Builder
	if err := sampleTable().WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	want := `
| what | who | how much |
| --- | --- | ---: |
| walk | one | 1 |
| walk | two | 22 |
| run | one |  |
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "report.json")
	want := sampleTable()
	if err := WriteJSON(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadJSON[Table](path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

func TestOrigin(t *testing.T) {
	m := Machine{System: "Debian", Kernel: "6.1", CPUs: 2, CPU: "Z80", MemoryMB: 1024, Go: "go1", Versions: []string{"a 1", "b 2"}}
	want := `
Measured 2026-01-02 on Debian, Linux 6.1, 2 x Z80, 1 GiB; go1; a 1, b 2.

To reproduce: ` + "`make it`\n"
	got := Origin(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), m, "make it")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSections(t *testing.T) {
	tests := []struct {
		name     string
		document string
		want     string
		err      error
	}{
		{
			name:     "only what stands between the markers is replaced",
			document: "# Mine\n<!-- a:begin -->\nold\n<!-- a:end -->\n<!-- b:begin -->\nkept\n<!-- b:end -->\nrest\n",
			want:     "# Mine\n<!-- a:begin -->\nnew\n<!-- a:end -->\n<!-- b:begin -->\nkept\n<!-- b:end -->\nrest\n",
		},
		{name: "no markers", document: "# Mine\n<!-- b:begin -->\n<!-- b:end -->\n", err: ErrNoMarkers},
		{name: "no end", document: "<!-- a:begin -->\n<!-- b:end -->\n", err: ErrNoMarkers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "doc.md")
			if err := os.WriteFile(path, []byte(tt.document), 0o644); err != nil {
				t.Fatal(err)
			}
			// The second time shows that the markers are still there.
			for range 2 {
				if err := WriteSection(path, "a", "new\n"); !errors.Is(err, tt.err) {
					t.Fatalf("got error %v, want %v", err, tt.err)
				}
			}
			if tt.err != nil {
				tt.want = tt.document
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a missing document is made", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "doc.md")
		if err := WriteSection(path, "a", "new\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(got), "<!-- a:begin -->\nnew\n<!-- a:end -->") {
			t.Errorf("%q, %v", got, err)
		}
	})
}
