// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxCopied bounds how many nodes aliases may add to a file, so that aliases of
// aliases cannot blow a few lines up to gigabytes.
const maxCopied = 20_000

// parseTree returns the one YAML document in data as a tree without aliases.
func parseTree(file string, data []byte) (*yaml.Node, *Error) {
	if line, bad := notText(data); bad {
		return nil, &Error{
			File: file, Line: line, Text: "is not text: it has control characters or bytes that are not UTF-8",
			Mend: "save the configuration as a UTF-8 text file",
		}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, syntaxError(file, data, err)
	}
	var doc, more yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil, emptyFile(file)
	case err != nil:
		return nil, syntaxError(file, data, err)
	case len(doc.Content) == 0:
		return nil, emptyFile(file)
	}
	switch err := loader.Load(&more); {
	case err == nil:
		return nil, &Error{
			File: file, Line: max(1, more.Line), Text: "a second YAML document starts here",
			Mend: "keep one document: take out the --- and what follows it",
		}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(file, data, err)
	}
	a := aliases{file: file, open: map[*yaml.Node]bool{}, budget: maxCopied}
	root := a.replace(doc.Content[0])
	if a.err != nil {
		return nil, a.err
	}
	if isNull(root) {
		return nil, emptyFile(file)
	}
	return root, nil
}

func emptyFile(file string) *Error {
	return &Error{
		File: file, Line: 1, Text: "is empty",
		Mend: "write at least interface and one of instances with its vrid and vips",
	}
}

// notText finds the line of the first byte that no text file has.
func notText(data []byte) (line int, bad bool) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		control := r < ' ' && r != '\t' && r != '\n' && r != '\r'
		if control || r == 0x7f || (r == utf8.RuneError && size == 1) {
			return lineAt(data, i), true
		}
		i += size
	}
	return 0, false
}

// lineAt is the number of the line that holds data[offset].
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// syntaxError says in which line the YAML parser gave up, and why.
func syntaxError(file string, data []byte, err error) *Error {
	e := &Error{
		File: file, Line: 1, Text: "is no YAML: " + err.Error(),
		Mend: "look at the indentation, quotes and brackets here and in the line before", Err: err,
	}
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return e
	}
	end := lineAt(data, len(bytes.TrimRight(data, " \t\r\n")))
	e.Line = min(max(1, load.Mark.Line), end)
	e.Text = "is no YAML: " + load.Message
	if load.ContextMsg != "" && load.ContextMark.Line > 0 {
		e.Text += fmt.Sprintf(" (%s from line %d on)", load.ContextMsg, load.ContextMark.Line)
	}
	lines := bytes.SplitAfterN(data, []byte("\n"), e.Line+1)
	indent := lines[e.Line-1][:len(lines[e.Line-1])-len(bytes.TrimLeft(lines[e.Line-1], " \t"))]
	if bytes.ContainsRune(indent, '\t') {
		e.Mend = "indent with spaces: YAML allows no tabs there"
	}
	return e
}

// aliases puts a copy of what an alias refers to in its place. Copied nodes take
// the line of the alias: that is where the value is used.
type aliases struct {
	file   string
	open   map[*yaml.Node]bool
	budget int
	err    *Error
}

// replace works in document order, so an anchor's node is either finished, and
// has no aliases left, or it encloses the alias.
func (a *aliases) replace(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		if a.open[n.Alias] {
			a.fail(n, "alias *"+n.Value+" stands inside what it refers to", "write the value out")
			return n
		}
		return a.copy(n.Alias, n)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		a.fail(n, "YAML tag "+n.Tag, "leave the tag out: no key needs one")
	}
	a.open[n] = true
	for i, child := range n.Content {
		n.Content[i] = a.replace(child)
	}
	delete(a.open, n)
	return n
}

func (a *aliases) copy(n, alias *yaml.Node) *yaml.Node {
	if a.budget--; a.budget < 0 {
		a.fail(alias, fmt.Sprintf("aliases expand to more than %d values", maxCopied), "write the values out")
		return alias
	}
	c := *n
	c.Line, c.Column = alias.Line, alias.Column
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = a.copy(child, alias)
	}
	return &c
}

// fail keeps the first problem: a tree with a broken alias is not read further.
func (a *aliases) fail(n *yaml.Node, text, mend string) {
	if a.err == nil {
		a.err = &Error{File: a.file, Line: n.Line, Text: text, Mend: mend}
	}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
