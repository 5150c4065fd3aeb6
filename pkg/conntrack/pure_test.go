// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyNowMatters: nothing below this directory but tests and kernel's adapter reads a
// clock, waits, or draws random numbers.
func TestOnlyNowMatters(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.go", "record/*.go", "wire/*.go", "stream/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	forbidden := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "NewTimer": true, "NewTicker": true, "AfterFunc": true, "Tick": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			if path := imported.Path.Value; strings.Contains(path, "rand") || path == `"net"` || path == `"os"` {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if p, ok := s.X.(*ast.Ident); ok && p.Name == "time" && forbidden[s.Sel.Name] {
					t.Errorf("%s: time.%s", fset.Position(s.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}
