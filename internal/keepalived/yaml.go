// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// commentWidth is where comments are folded.
const commentWidth = 92

// A yamlMap is a mapping in the order in which it is to be read.
type yamlMap []yamlEntry

// yamlEntry is a key with its value: a scalar, a yamlMap, or a yamlList. Without
// a key it is the comment alone.
type yamlEntry struct {
	at    place // the line of the input it stems from, if that is not its parent's
	above notes // comment lines above it
	key   string
	value any
	after string // comment on the same line
	gap   bool   // an empty line before it
}

// scalar is text that is YAML already.
type scalar string

// yamlList is a block sequence.
type yamlList []yamlItem

// yamlItem is an element: a scalar or a yamlMap.
type yamlItem struct {
	at    place
	above notes
	value any
}

// yamlWriter prints the tree and keeps the line of the input that each of its
// lines stems from.
type yamlWriter struct {
	out     strings.Builder
	at      place
	origins []place
}

// write appends text, which stems from the current place.
func (w *yamlWriter) write(text string) {
	w.out.WriteString(text)
	for range strings.Count(text, "\n") {
		w.origins = append(w.origins, w.at)
	}
}

// enter makes at the current place, if it is one, and returns the way back.
func (w *yamlWriter) enter(at place) (leave func()) {
	before := w.at
	if at.line > 0 {
		w.at = at
	}
	return func() { w.at = before }
}

func (w *yamlWriter) comments(indent int, texts notes) {
	for _, n := range texts {
		w.comment(indent, n.text)
	}
}

// comment prints text as comment lines, folded at spaces, with what follows the
// first line set in.
func (w *yamlWriter) comment(indent int, text string) {
	margin := strings.Repeat(" ", indent)
	line := margin + "#"
	fresh := true
	for word := range strings.FieldsSeq(printable(text)) {
		if !fresh && len(line)+1+len(word) > commentWidth {
			w.write(line + "\n")
			line = margin + "#  "
		}
		line += " " + word
		fresh = false
	}
	w.write(line + "\n")
}

func (w *yamlWriter) mapping(indent int, m yamlMap) {
	for _, e := range m {
		if e.gap && w.out.Len() > 0 {
			w.write("\n")
		}
		w.comments(indent, e.above)
		if e.key != "" {
			w.entry(indent, strings.Repeat(" ", indent), e)
		}
	}
}

// entry prints one key; lead is what stands before it: spaces, or a dash.
func (w *yamlWriter) entry(indent int, lead string, e yamlEntry) {
	defer w.enter(e.at)()
	w.write(lead + e.key + ":")
	after := ""
	if e.after != "" {
		after = "  # " + printable(e.after)
	}
	switch v := e.value.(type) {
	case scalar:
		w.write(" " + string(v) + after + "\n")
	case yamlMap:
		w.write(after + "\n")
		w.mapping(indent+2, v)
	case yamlList:
		w.write(after + "\n")
		w.list(indent+2, v)
	}
}

func (w *yamlWriter) list(indent int, l yamlList) {
	for i, item := range l {
		w.item(indent, i, item)
	}
}

func (w *yamlWriter) item(indent, i int, item yamlItem) {
	defer w.enter(item.at)()
	margin := strings.Repeat(" ", indent)
	m, ok := item.value.(yamlMap)
	if !ok {
		w.comments(indent, item.above)
		w.write(fmt.Sprintf("%s- %s\n", margin, item.value))
		return
	}
	if i > 0 {
		w.write("\n")
	}
	w.comments(indent, item.above)
	for j, e := range m {
		if j == 0 {
			w.entry(indent+2, margin+"- ", e)
			continue
		}
		w.comments(indent+2, e.above)
		w.entry(indent+2, margin+"  ", e)
	}
}

// flowMap is a mapping on one line; its values are scalars.
func flowMap(m yamlMap) scalar {
	parts := make([]string, len(m))
	for i, e := range m {
		parts[i] = fmt.Sprintf("%s: %s", e.key, e.value)
	}
	return scalar("{" + strings.Join(parts, ", ") + "}")
}

// flowList is a sequence on one line.
func flowList[T any](values []T, show func(T) scalar) scalar {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = string(show(v))
	}
	return scalar("[" + strings.Join(parts, ", ") + "]")
}

// text is a string, quoted where YAML 1.1 or 1.2 would take it for something
// else when it stands plain.
func text(s string) scalar {
	if isPlain(s) {
		return scalar(s)
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	out.WriteByte('"')
	return scalar(out.String())
}

// isPlain is on the careful side: it knows letters, digits and some marks, no
// words with a meaning, and nothing that begins like a number.
func isPlain(s string) bool {
	const marks = "_/.@%+=-"
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
	if s == "" || !letter(s[0]) && s[0] != '_' && s[0] != '/' || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		// A colon between two other characters is safe, at an end it makes a key.
		inside := c == ':' && i+1 < len(s) && s[i+1] != ' '
		if !letter(c) && (c < '0' || c > '9') && c != ' ' && strings.IndexByte(marks, c) < 0 && !inside {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return false
	}
	return true
}

// number, boolean and duration are scalars that are never quoted.
func number(v int) scalar { return scalar(strconv.Itoa(v)) }

func boolean(v bool) scalar { return scalar(strconv.FormatBool(v)) }

// duration is in Go's notation without the zero parts: 1m, not 1m0s.
func duration(d time.Duration) scalar {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return scalar(s)
}

// address stands plain unless it could be taken for a sexagesimal number or a key.
func address(a netip.Addr) scalar { return plainAddress(a.String()) }

func prefix(p netip.Prefix) scalar { return plainAddress(prefixText(p)) }

func plainAddress(s string) scalar {
	if strings.HasPrefix(s, ":") || strings.HasSuffix(s, ":") || !strings.ContainsAny(s, "./abcdef") && !strings.Contains(s, "::") {
		return scalar(strconv.Quote(s))
	}
	return scalar(s)
}

// printable makes a comment of any text: no line ends, nothing YAML forbids.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
