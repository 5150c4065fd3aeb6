// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// memory is a file system in a map. Its working directory is /etc/keepalived.
type memory map[string]string

func (m memory) read(name string) ([]byte, error) {
	data, ok := m[path.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(data), nil
}

func (m memory) glob(pattern string) ([]string, error) {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		ok, err := path.Match(path.Clean(pattern), name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, name)
		}
	}
	return found, nil
}

func (m memory) abs(name string) string { return path.Join("/etc/keepalived", name) }

func TestSyntaxErrors(t *testing.T) {
	many := memory{}
	for i := range 40 {
		many[fmt.Sprintf("k%d", i)] = fmt.Sprintf("include k%d", i+1)
	}
	many["k"] = "\ninclude k0"
	for _, tc := range []struct {
		name  string
		files memory
		want  string // file:line: beginning of the text
		is    error
	}{
		{"block never closed", memory{"k": "\nvrrp_instance A {\n state MASTER\n"}, `k:2: the block of "vrrp_instance A" is never closed`, nil},
		{"inner block never closed", memory{"k": "vrrp_instance A {\n track_script {\n a\n}\n"}, `k:1: the block of "vrrp_instance A" is never closed`, nil},
		{"brace on its own line never closed", memory{"k": "global_defs\n{\n"}, `k:1: the block of "global_defs" is never closed`, nil},
		{"conntrackd.conf, one brace too many", memory{"k": "Sync {\n}\n}\n"}, "k:3: unexpected }", nil},
		{"brace without keyword", memory{"k": "! nothing\n{\n}\n"}, "k:2: unexpected {", nil},
		{"brace after block", memory{"k": "global_defs {\n}\n{\n}\n"}, "k:3: unexpected {", nil},
		{"double quote", memory{"k": "vrrp_script a {\n script \"pkill -0 haproxy\n}\n"}, `k:2: unterminated quote (")`, nil},
		{"double quote, continued line", memory{"k": "a b\nscript \"x \\\n y\n"}, `k:2: unterminated quote (")`, nil},
		{"quote hidden by comment", memory{"k": "script \"x # y\n"}, `k:1: unterminated quote (")`, nil},
		{"single quote", memory{"k": "a b\nscript 'pkill -0 haproxy\n"}, "k:2: unterminated quote (')", nil},
		{"single quote does not hide comment", memory{"k": "script 'a # b'\n"}, "k:1: unterminated quote (')", nil},
		{"includes itself", memory{"k": "a b\n\ninclude k\n"}, "k:3: include loop: k includes itself", nil},
		{"includes itself by another path", memory{"k": "include ./x/../k\n"}, "k:1: include loop", nil},
		{"include loop of two", memory{"d/a": "include b\n", "d/b": "\ninclude a\n"}, "d/b:2: include loop: d/a", nil},
		{"include chain too deep", many, "k30:1: too many includes", nil},
		{"missing file", memory{}, "k: read k: file does not exist", fs.ErrNotExist},
		{"missing include", memory{"k": "a b\ninclude sub/x.conf\n"}, "k:2: read sub/x.conf: file does not exist", fs.ErrNotExist},
		{"missing include in include", memory{"k": "include sub/a\n", "sub/a": "\n\ninclude b\n"}, "sub/a:3: read sub/b: file does not exist", fs.ErrNotExist},
		{"includea without match", memory{"k": "includea *.conf\n"}, "k:1: includea *.conf: no file matches", fs.ErrNotExist},
		{"includew without match", memory{"k": "includew *.conf\n"}, "k:1: includew *.conf: no file matches", fs.ErrNotExist},
		{"includeb with one missing", memory{"k": "includeb {x,y}\n", "x": ""}, "k:1: includeb y: no file matches", fs.ErrNotExist},
		{"include of nothing", memory{"k": "a\ninclude \"\"\n"}, "k:2: include without a file name", nil},
		{"bad pattern", memory{"k": "include [\n"}, "k:1: include [: syntax error in pattern", path.ErrBadPattern},
		{"binary", memory{"k": "a b\nc\x00d\n"}, "k:2: binary data", nil},
		{"binary include", memory{"k": "include x\n", "x": "\x7fELF\x02\n"}, "x:1: binary data", nil},
		{"parameter of itself", memory{"k": "$A=${A}x\n\npriority $A\n"}, "k:3: parameter expansion does not end", nil},
		{"parameters of each other", memory{"k": "$A=${B}\n$B=${A}\npriority ${A}\n"}, "k:3: parameter expansion does not end", nil},
		{"parameter that grows", memory{"k": grow(30)}, "k:31: parameter expansion does not end", nil},
		{"endless line", memory{"k": "a\n" + strings.Repeat("b", maxLine+1)}, "k:2: line longer than", nil},
		{"huge file", memory{"k": strings.Repeat("#\n", maxFileSize)}, "k: k is larger than", nil},
		{"conntrackd.conf, open block", memory{"k": "Sync {\n Mode FTFW {\n }\n"}, `k:1: the block of "Sync" is never closed`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := "k"
			if _, ok := tc.files["d/a"]; ok {
				name = "d/a"
			}
			_, err := importFrom(tc.files, []string{name})
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got  %s\nwant %s...", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
		})
	}
}

// grow is a chain of parameters that double each other.
func grow(n int) string {
	var b strings.Builder
	b.WriteString("$P0=xxxxxxxx\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "$P%d=${P%d}${P%d}\n", i, i-1, i-1)
	}
	fmt.Fprintf(&b, "priority ${P%d}\n", n-1)
	return b.String()
}

func TestImportOfDirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := Import([]string{dir})
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.File != dir {
		t.Errorf("got %v, want a *SyntaxError that names %s", err, dir)
	}
}

func TestEmptyInput(t *testing.T) {
	got, err := importFrom(memory{"k": "# nothing\n"}, []string{"k"})
	var none *NoInstanceError
	if !errors.As(err, &none) || none.LVS || got.YAML != nil {
		t.Fatalf("got %q, %v", got.YAML, err)
	}
}

// tree shows a parsed file: keyword and arguments, children set in.
func tree(n *node, depth int) string {
	var b strings.Builder
	for _, c := range n.children {
		fmt.Fprintf(&b, "%s%q@%d\n%s", strings.Repeat(" ", depth), c.words(), c.at.line, tree(c, depth+1))
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string
	}{
		{"blocks in all layouts", "a {\nb c\n}\nd\n{\ne}\nf{g}h {i j}", "[\"a\"]@1\n [\"b\" \"c\"]@2\n[\"d\"]@4\n [\"e\"]@6\n[\"f\"]@7\n [\"g\"]@7\n[\"h\"]@7\n [\"i\" \"j\"]@7\n"},
		{"comments", "! all\na b!c\nd \\#e # f\n  # g { \"\n", "[\"a\" \"b\"]@2\n[\"d\" \"#e\"]@3\n"},
		{"quotes", `a "b # {c}" 'd e' f"g h"i it's`, "[\"a\" \"b # {c}\" \"d e\" \"fg hi\" \"it's\"]@1\n"},
		{"continuation", "a b \\\n  c \\\n d\ne", "[\"a\" \"b\" \"c\" \"d\"]@1\n[\"e\"]@4\n"},
		{"no continuation in a comment", "a # b \\\nc", "[\"a\"]@1\n[\"c\"]@2\n"},
		{"parameters", "$A=1 2\n$B=x${A}y\na $A $B ${B}z $Az ${C} $\n", "[\"a\" \"1\" \"2\" \"x1\" \"2y\" \"x1\" \"2yz\" \"$Az\" \"${C}\" \"$\"]@3\n"},
		{"value when used", "$A=${B}\n$B=1\na ${A}\n$B=2\na ${A}", "[\"a\" \"1\"]@3\n[\"a\" \"2\"]@5\n"},
		{"empty value", "$A=\na ${A}b", "[\"a\" \"b\"]@2\n"},
		{"own parameters", "a ${_PWD}/x ${_HASH}${_BANG}", "[\"a\" \"/etc/keepalived/x\" \"#!\"]@1\n"},
		{"carriage returns and byte order mark", "\ufeffa {\r\n b\r\n}\r\n", "[\"a\"]@1\n [\"b\"]@2\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, err := parseFile(memory{"k": tc.text}, "k", func(at place, text string) { t.Errorf("%d: %s", at.line, text) })
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(root, 0); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
		})
	}
}

func TestIncludeOrder(t *testing.T) {
	root, err := parseFile(memory{
		"top/k":        "a\ninclude d/*.conf\ninclude \"e{1,2}\"\nz",
		"top/d/1.conf": "b {\ninclude ../deep\n}",
		"top/d/2.conf": "d",
		"top/deep":     "c",
		"top/e1":       "e",
		"top/e2":       "f",
	}, "top/k", func(at place, text string) { t.Errorf("%d: %s", at.line, text) })
	if err != nil {
		t.Fatal(err)
	}
	want := "[\"a\"]@1\n[\"b\"]@1\n [\"c\"]@1\n[\"d\"]@1\n[\"e\"]@1\n[\"f\"]@1\n[\"z\"]@4\n"
	if got := tree(root, 0); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSplitCommand(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"both quotes", `notify "a 'b c'" 'd "e"'`, []string{"notify", "a 'b c'", `d "e"`}},
		{"joined", `x abcd" efg h jkl "mnop`, []string{"x", "abcd efg h jkl mnop"}},
		{"escapes", `x \"a\" \\ \x41\102 \cA \E`, []string{"x", `"a"`, `\`, "AB", "\x01", "\x1b"}},
		{"escaped space", `x a\ b`, []string{"x", "a b"}},
		{"empty word", `x ""`, []string{"x", ""}},
		{"number that is none", `x \xg \9`, []string{"x", "xg", "9"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := splitCommand(tc.text)
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
	if _, err := splitCommand(`x it's`); err == nil {
		t.Error("an open quote was accepted")
	}
}
