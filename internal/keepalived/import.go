// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"cmp"
	"fmt"
	"slices"
)

// Result is an imported configuration.
type Result struct {
	// YAML is the text of hafast.yaml.
	YAML []byte
	// Warnings name what was not carried over, or not as it stood, in the order
	// of the input.
	Warnings []Warning
}

// Warning is one thing of the input that the YAML does not say in the same way.
type Warning struct {
	// File is the file as the caller, or the include directive, named it.
	File string
	// Line counts from 1.
	Line int
	// Text says what was found and what has become of it.
	Text string
}

// String is "file:line: text".
func (w Warning) String() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text) }

// SyntaxError is input that cannot be read: an unbalanced brace, an
// unterminated quote, an include loop, a missing file, binary data.
type SyntaxError struct {
	File string
	// Line counts from 1; 0 means the file as a whole.
	Line int
	Text string
	// Err is the cause where there is one, such as fs.ErrNotExist.
	Err error
}

// Error is "file:line: text".
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Import reads keepalived.conf and conntrackd.conf files, told apart by their
// content, and returns one hafast.yaml for all of them. Includes and their globs
// are resolved relative to the including file, as keepalived does. The error is
// a *SyntaxError, or a *NoInstanceError together with the warnings.
func Import(paths []string) (Result, error) { return importFrom(disk{}, paths) }

// importFrom is Import over any file system.
func importFrom(fsys files, paths []string) (Result, error) {
	t := newTranslator()
	for _, path := range paths {
		t.meet(path)
		root, err := parseFile(fsys, path, t.warnAt)
		if err != nil {
			return Result{}, err
		}
		t.doc.sources = append(t.doc.sources, path)
		t.read(root)
	}
	t.finish()
	data, err := t.emit()
	return Result{YAML: data, Warnings: sorted(t.warnings, t.order)}, err
}

// parseFile reads one file of either kind.
func parseFile(fsys files, path string, warn func(place, string)) (*node, error) {
	r := newReader(fsys, warn)
	if err := r.open([]string{path}, place{}); err != nil {
		return nil, err
	}
	root, err := parse(r)
	if err != nil {
		return nil, err
	}
	root.conntrackd = r.dialect == dialectConntrackd
	return root, nil
}

// sorted orders warnings by file, in the order the files were first met, and
// then by line.
func sorted(warnings []Warning, files map[string]int) []Warning {
	slices.SortStableFunc(warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(files[a.File], files[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return warnings
}
