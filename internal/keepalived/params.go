// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"path/filepath"
	"strings"
)

// parameters are the $NAME definitions in force, as keepalived 2.2 has them: a
// value is substituted where it is used and may refer to others. The mark
// of a multi-line definition is kept so that its uses can be warned of.
type parameters struct {
	values map[string]string
	long   map[string]bool
	fsys   files
}

func newParameters(fsys files) parameters {
	return parameters{values: map[string]string{}, long: map[string]bool{}, fsys: fsys}
}

func (p parameters) set(name, value string) {
	delete(p.long, name)
	p.values[name] = value
}

func (p parameters) markMultiline(name string) {
	delete(p.values, name)
	p.long[name] = true
}

// multiline reports whether a line refers to a definition that was left out
// because it spans several lines.
func (p parameters) multiline(text string) (string, bool) {
	for i := range len(text) {
		if name, _, ok := reference(text[i:]); ok && p.long[name] {
			return name, true
		}
	}
	return "", false
}

// definition parses $NAME=value.
func definition(text string) (name, value string, ok bool) {
	if !strings.HasPrefix(text, "$") {
		return "", "", false
	}
	name, value, ok = strings.Cut(text[1:], "=")
	if !ok || !isName(name) {
		return "", "", false
	}
	return name, strings.TrimSpace(value), true
}

// reference parses a $NAME or ${NAME} at the start of text and returns its
// length. Without braces the name must be followed by white space or the end.
func reference(text string) (name string, length int, ok bool) {
	if !strings.HasPrefix(text, "$") {
		return "", 0, false
	}
	rest := text[1:]
	braces := strings.HasPrefix(rest, "{")
	if braces {
		rest = rest[1:]
	}
	n := 0
	for n < len(rest) && isNameByte(rest[n]) {
		n++
	}
	if name = rest[:n]; !isName(name) {
		return "", 0, false
	}
	if braces {
		return name, n + 3, strings.HasPrefix(rest[n:], "}")
	}
	return name, n + 1, n == len(rest) || rest[n] == ' ' || rest[n] == '\t'
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func isName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

// substitute replaces the references in a line until none is left that is
// defined. What is not defined stays as it is, so that a shell variable in a
// script's command line survives.
func (p parameters) substitute(text string, at place) (string, error) {
	// A value may refer to the next parameter, which may refer to another: each
	// pass resolves one level, and a chain longer than there are names is a loop.
	for range len(p.values) + 2 {
		var out strings.Builder
		changed := false
		for i := 0; i < len(text); {
			name, length, ok := reference(text[i:])
			value, defined := p.lookup(name, at)
			if !ok || !defined {
				out.WriteByte(text[i])
				i++
				continue
			}
			out.WriteString(value)
			i += length
			changed = true
			if out.Len() > maxLine {
				break
			}
		}
		if !changed {
			return text, nil
		}
		text = out.String()
		if len(text) > maxLine {
			break
		}
	}
	return "", &SyntaxError{File: at.file, Line: at.line, Text: fmt.Sprintf("parameter expansion does not end: %s", quote(clip(text)))}
}

// lookup finds a parameter's value. Of the names keepalived defines itself,
// ${_INSTANCE} and ${_RANDOM} are known only to a running one.
func (p parameters) lookup(name string, at place) (string, bool) {
	switch name {
	case "_PWD":
		return filepath.Dir(p.fsys.abs(at.file)), true
	case "_HASH":
		return "#", true
	case "_BANG":
		return "!", true
	}
	value, ok := p.values[name]
	return value, ok
}

// runtimeParameter finds a parameter that keepalived gets from its environment or
// from chance, and returns its name.
func runtimeParameter(text string) string {
	for _, name := range []string{"_ENV", "_INSTANCE", "_RANDOM"} {
		for _, end := range []string{"}", " ", "\t"} {
			if strings.Contains(text, "${"+name+end) {
				return "${" + name + "}"
			}
		}
	}
	return ""
}

// clip shortens text for a message.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
