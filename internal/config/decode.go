// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decoder gathers what reading a tree brings to light.
type decoder struct {
	file   string
	places Places
	errs   Errors
}

func (d *decoder) fail(line int, text, mend string) {
	d.errs = append(d.errs, &Error{File: d.file, Line: max(1, line), Text: text, Mend: mend})
}

// note remembers where the key at path stands.
func (d *decoder) note(path string, line int) {
	d.places[path] = Place{File: d.file, Line: line, Key: path}
}

// A kind reads YAML values of one type into V.
type kind[V any] struct {
	// typ and unit name the type in the documentation.
	typ, unit string
	// want finishes the sentence "write ...".
	want string
	// keys are the rows below, for sections and lists of them.
	keys []Key
	// initial makes the value of an absent key; nil means the zero V.
	initial func() V
	// read reports its problems to d and returns false after one.
	read func(d *decoder, path string, n *yaml.Node) (V, bool)
}

// in names the unit of a number.
func (k kind[V]) in(unit string) kind[V] {
	k.unit = unit
	return k
}

// A field is a key of a section: one row of its table.
type field[T any] struct {
	Key
	want     string
	below    []Key
	required bool
	initial  func(t *T)
	read     func(d *decoder, path string, n *yaml.Node, t *T)
}

// required is a key without which the section means nothing.
func required[T, V any](key string, k kind[V], doc string, at func(*T) *V) field[T] {
	f := derived(key, k, "required", doc, at)
	f.required = true
	return f
}

// derived is a key whose default, described in words, follows from other keys.
func derived[T, V any](key string, k kind[V], words, doc string, at func(*T) *V) field[T] {
	return field[T]{
		Key:   Key{Path: key, Type: k.typ, Unit: k.unit, Default: words, Doc: doc},
		want:  k.want,
		below: k.keys,
		initial: func(t *T) {
			if k.initial != nil {
				*at(t) = k.initial()
			}
		},
		read: func(d *decoder, path string, n *yaml.Node, t *T) {
			if v, ok := k.read(d, path, n); ok {
				*at(t) = v
			}
		},
	}
}

// optional is a key with a fixed default, given as it would stand in the file.
func optional[T, V any](key string, k kind[V], def, doc string, at func(*T) *V) field[T] {
	f := derived(key, k, def, doc, at)
	f.Literal = true
	f.initial = func(t *T) {
		var d decoder
		*at(t), _ = k.read(&d, key, &yaml.Node{Kind: yaml.ScalarNode, Value: def})
	}
	return f
}

// none is a key that is empty, zero or switched off unless it is set. A section
// of this sort has the defaults of its rows.
func none[T, V any](key string, k kind[V], doc string, at func(*T) *V) field[T] {
	words := ""
	if k.initial != nil {
		words = "those of its keys"
	}
	return derived(key, k, words, doc, at)
}

// section reads a mapping by the rows of its table.
func section[T any](fields []field[T]) kind[T] {
	initial := func() (t T) {
		for _, f := range fields {
			f.initial(&t)
		}
		return t
	}
	want := fmt.Sprintf("a section with keys such as %s:", fields[0].Path)
	return kind[T]{
		typ:     "section",
		want:    want,
		keys:    rows(fields),
		initial: initial,
		read: func(d *decoder, path string, n *yaml.Node) (T, bool) {
			t := initial()
			if n.Kind != yaml.MappingNode && !isNull(n) {
				d.wrongType(path, n, want)
				return t, false
			}
			readSection(d, path, n, fields, &t)
			return t, true
		},
	}
}

func readSection[T any](d *decoder, path string, n *yaml.Node, fields []field[T], t *T) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.fail(key.Line, "a key that is itself a list or section", "write keys as plain words")
			continue
		}
		if line, dup := seen[key.Value]; dup {
			d.fail(key.Line, fmt.Sprintf("duplicate key %s, which is set on line %d already", key.Value, line), "keep one of them")
			continue
		}
		seen[key.Value] = key.Line
		at := slices.IndexFunc(fields, func(f field[T]) bool { return f.Path == key.Value })
		if at < 0 {
			d.unknownKey(path, key, rows(fields))
			continue
		}
		below := join(path, key.Value)
		d.note(below, key.Line)
		fields[at].read(d, below, value, t)
	}
	for _, f := range fields {
		if _, ok := seen[f.Path]; f.required && !ok {
			d.missing(path, n.Line, f.Path, f.want)
		}
	}
}

func (d *decoder) missing(path string, line int, key, want string) {
	text := fmt.Sprintf("key %s is missing", key)
	if path != "" {
		text += " in " + general(path)
	}
	d.fail(line, text, fmt.Sprintf("add %s: with %s", key, want))
}

func (d *decoder) unknownKey(path string, key *yaml.Node, rows []Key) {
	if key.Value == "<<" {
		d.fail(key.Line, "merge key <<", "write the keys out: aliases (*name) are understood, merge keys are not")
		return
	}
	var allowed []string
	for _, row := range rows {
		if !strings.ContainsAny(row.Path, ".[") {
			allowed = append(allowed, row.Path)
		}
	}
	text := "unknown key " + printable(key.Value)
	if path != "" {
		text += " in " + general(path)
	}
	if home := home(key.Value); home != "" && nearest(key.Value, allowed) == "" {
		d.fail(key.Line, text, fmt.Sprintf("move it: %s belongs in %s", key.Value, home))
		return
	}
	d.fail(key.Line, text, suggest(key.Value, allowed))
}

// home finds the one section that has a key, or "" when none or several have it.
func home(key string) string {
	found := ""
	for _, row := range Schema() {
		switch at := parent(row.Path); {
		case last(row.Path) != key:
		case found != "":
			return ""
		case at == "":
			found = "the outermost level"
		default:
			found = at
		}
	}
	return found
}

// list reads a sequence; an empty one is empty and not nil. Elements that cannot be read stay as zero values, so
// that the others keep their index in Places.
func list[V any](k kind[V]) kind[[]V] {
	want := "a list [a, b], each " + k.want
	return kind[[]V]{
		typ:  "list of " + k.typ,
		unit: k.unit,
		want: want,
		keys: prefixed("[]", k.keys),
		read: func(d *decoder, path string, n *yaml.Node) ([]V, bool) {
			if n.Kind != yaml.SequenceNode && !isNull(n) {
				d.wrongType(path, n, want)
				return nil, false
			}
			vs := make([]V, len(n.Content))
			for i, element := range n.Content {
				at := fmt.Sprintf("%s[%d]", path, i)
				d.note(at, element.Line)
				if v, ok := k.read(d, at, element); ok {
					vs[i] = v
				}
			}
			return vs, true
		},
	}
}

// short lets a scalar stand for a section that sets just the given key.
func short[T any](key string, k kind[T]) kind[T] {
	only := slices.IndexFunc(k.keys, func(row Key) bool { return row.Path == key })
	read := k.read
	k.typ = k.keys[only].Type + " or section"
	k.want = fmt.Sprintf("a plain %s, or a section with %s:", k.keys[only].Type, key)
	k.read = func(d *decoder, path string, n *yaml.Node) (T, bool) {
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			name := &yaml.Node{Kind: yaml.ScalarNode, Value: key, Line: n.Line}
			n = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{name, n}, Line: n.Line}
		}
		return read(d, path, n)
	}
	return k
}

// orWord lets a word stand for a value.
func orWord[V any](word string, value V, k kind[V]) kind[V] {
	read := k.read
	k.typ = word + " or " + k.typ
	k.want = word + " or " + k.want
	k.read = func(d *decoder, path string, n *yaml.Node) (V, bool) {
		if n.Kind == yaml.ScalarNode && n.Value == word {
			return value, true
		}
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			d.wrongType(path, n, k.want)
			return value, false
		}
		return read(d, path, n)
	}
	return k
}

// convert reads as k does and makes something else of it.
func convert[A, B any](k kind[A], f func(A) B) kind[B] {
	return kind[B]{
		typ: k.typ, unit: k.unit, want: k.want, keys: k.keys,
		read: func(d *decoder, path string, n *yaml.Node) (b B, ok bool) {
			a, ok := k.read(d, path, n)
			if !ok {
				return b, false
			}
			return f(a), true
		},
	}
}

// wrongType reports a value that is not of the wanted type.
func (d *decoder) wrongType(path string, n *yaml.Node, want string) {
	is := map[yaml.Kind]string{yaml.MappingNode: "a section", yaml.SequenceNode: "a list"}[n.Kind]
	if is == "" {
		is = printable(n.Value)
	}
	if isNull(n) {
		is = "empty"
	}
	d.fail(n.Line, last(path)+" is "+is, "write "+want)
}

// printable quotes a value of the file, cut to what fits a message.
func printable(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// isSet reports whether the file sets a key.
func (p Places) isSet(path string) bool {
	_, ok := p[path]
	return ok
}
