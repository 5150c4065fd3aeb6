// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reference = "../../docs/CONFIG.md"

var update = flag.Bool("update", false, "rewrite the tables of docs/CONFIG.md")

// table finds the tables of the reference: each stands between two comments, the
// first of which names the section.
var table = regexp.MustCompile(`(?s)<!-- keys of (.*?) -->\n(.*?)<!-- end -->`)

// yamlBlock finds the reference's examples.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// wantTable is the table of one section as the schema has it.
func wantTable(section string) string {
	var b strings.Builder
	for _, key := range Schema() {
		if sectionOf(key) != section {
			continue
		}
		def := key.Default
		switch {
		case key.Literal:
			def = "`" + def + "`"
		case def == "required":
			def = "**required**"
		case def == "":
			def = "none"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", last(key.Path), key.Type, def, key.Unit, key.Doc)
	}
	if b.Len() == 0 {
		return ""
	}
	return "| key | type | default | unit | meaning |\n|---|---|---|---|---|\n" + b.String()
}

// sectionOf is the title under which a key is documented.
func sectionOf(key Key) string {
	if at := parent(key.Path); at != "" {
		return at
	}
	return "the file"
}

func TestReference(t *testing.T) {
	doc, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		doc = table.ReplaceAllFunc(doc, func(block []byte) []byte {
			section := table.FindSubmatch(block)[1]
			return fmt.Appendf(nil, "<!-- keys of %s -->\n%s<!-- end -->", section, wantTable(string(section)))
		})
		if err := os.WriteFile(reference, doc, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	documented := map[string]bool{}
	for _, block := range table.FindAllSubmatch(doc, -1) {
		section, got := string(block[1]), string(block[2])
		if documented[section] {
			t.Errorf("two tables of %s", section)
		}
		documented[section] = true
		want := wantTable(section)
		if want == "" {
			t.Errorf("a table of %s, which the code does not know", section)
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("keys of %s differ, run this test with -update (-code +doc):\n%s", section, diff)
		}
	}
	for _, key := range Schema() {
		if section := sectionOf(key); !documented[section] {
			t.Errorf("no table of %s, where %s stands", section, key.Path)
		}
	}
	if n := bytes.Count(doc, []byte("<!-- keys of ")); n != len(documented) {
		t.Errorf("%d tables begin, %d are complete", n, len(documented))
	}
}

func TestReferenceExamples(t *testing.T) {
	doc, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	examples := yamlBlock.FindAllSubmatch(doc, -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples, want a smallest and a full one", len(examples))
	}
	for _, example := range examples {
		if _, err := Parse("example.yaml", example[1]); err != nil {
			t.Errorf("example:\n%s\n%v", example[1], err)
		}
	}
	if n := bytes.Count(examples[0][1], []byte("\n")); n != 6 {
		t.Errorf("the smallest example has %d lines, want 6", n)
	}
}

func TestSchemaIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range Schema() {
		if key.Type == "" || key.Doc == "" {
			t.Errorf("%s lacks its type or meaning", key.Path)
		}
		if strings.Contains(key.Doc+key.Type+key.Default, "|") {
			t.Errorf("%s has a | in its text, which would break the table", key.Path)
		}
		if seen[key.Path] {
			t.Errorf("%s is there twice", key.Path)
		}
		seen[key.Path] = true
	}
}
