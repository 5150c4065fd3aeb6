// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// place is where something stands in the input.
type place struct {
	file string
	line int
}

// line is one logical line: no comments, parameters substituted, a brace only
// by itself.
type line struct {
	text string
	at   place
}

// dialect is the kind of file being read.
type dialect int

const (
	dialectKeepalived dialect = iota
	// dialectConntrackd has # comments alone, and neither includes nor parameters.
	dialectConntrackd
)

// reader yields the logical lines of a file and all that it includes.
type reader struct {
	fsys    files
	warn    func(place, string)
	dialect dialect
	stack   []*source
	opened  int
	pending []line
	params  parameters
}

func newReader(fsys files, warn func(place, string)) *reader {
	return &reader{fsys: fsys, warn: warn, params: newParameters(fsys)}
}

// next returns the next logical line; false means the end of the input.
func (r *reader) next() (line, bool, error) {
	for len(r.pending) == 0 {
		ln, more, err := r.joined()
		if err != nil || !more {
			return line{}, false, err
		}
		if ln.text == "" {
			continue
		}
		if r.dialect == dialectKeepalived {
			keep, err := r.prepare(&ln)
			if err != nil {
				return line{}, false, err
			}
			if !keep {
				continue
			}
		}
		for _, part := range splitAtBraces(ln.text) {
			r.pending = append(r.pending, line{text: part, at: ln.at})
		}
	}
	ln := r.pending[0]
	r.pending = r.pending[1:]
	return ln, true, nil
}

// prepare does to a line what keepalived does before it looks at keywords:
// conditions, definitions, sequences, parameters, includes. It reports whether
// anything is left to parse.
func (r *reader) prepare(ln *line) (bool, error) {
	if r.conditional(*ln) {
		return false, nil
	}
	if name, value, ok := definition(ln.text); ok {
		r.params.set(name, value)
		return false, nil
	}
	text, err := r.params.substitute(ln.text, ln.at)
	if err != nil {
		return false, err
	}
	ln.text = strings.TrimSpace(text)
	if name, ok := r.params.multiline(ln.text); ok {
		r.warn(ln.at, fmt.Sprintf("%s: parameters of several lines are not expanded; left out, write the lines of $%s here", quote(ln.text), name))
		return false, nil
	}
	if ln.text == "" || r.conditional(*ln) || r.runtime(*ln) {
		return false, nil
	}
	included, err := r.include(*ln)
	return !included, err
}

// conditional reports lines that keepalived reads on some hosts only, or
// several times over, and warns of them: which ones apply depends on options of
// the keepalived command that an importer does not see.
func (r *reader) conditional(ln line) bool {
	switch {
	case strings.HasPrefix(ln.text, "@"):
		id, rest := ln.text[1:], ""
		if end := strings.IndexAny(id, " \t"); end >= 0 {
			id, rest = id[:end], id[end:]
		}
		which := "the host or config-id " + quote(id)
		if strings.HasPrefix(id, "^") {
			which = "all but the host or config-id " + quote(id[1:])
		}
		r.warn(ln.at, fmt.Sprintf("%s: meant for %s; left out, write it by hand where it applies", quote(hush(strings.Fields(rest))), which))
	case strings.HasPrefix(ln.text, "~"):
		r.warn(ln.at, fmt.Sprintf("%s: sequences and lists are not expanded; left out", quote(ln.text)))
	default:
		return false
	}
	return true
}

// runtime warns of lines with a parameter whose value only a running keepalived
// knows. It reports whether the line is to be passed over; one that opens or closes
// a block is needed all the same.
func (r *reader) runtime(ln line) bool {
	name := runtimeParameter(ln.text)
	if name == "" {
		return false
	}
	shown := quote(clip(hush(strings.Fields(ln.text))))
	if parts := splitAtBraces(ln.text); len(parts) > 1 {
		r.warn(ln.at, fmt.Sprintf("%s: the value of %s is known to a running keepalived alone; taken as it stands, write the value by hand", shown, name))
		return false
	}
	r.warn(ln.at, fmt.Sprintf("%s: the value of %s is known to a running keepalived alone; left out, write the line with its value by hand", shown, name))
	return true
}

// joined returns the next line of the input with its continuations and without
// its comment.
func (r *reader) joined() (line, bool, error) {
	for len(r.stack) > 0 {
		src := r.stack[len(r.stack)-1]
		if src.next >= len(src.lines) {
			if err := r.close(); err != nil {
				return line{}, false, err
			}
			continue
		}
		at := place{file: src.path, line: src.next + 1}
		var text strings.Builder
		var sc commentScanner
		sc.dialect = r.dialect
		for src.next < len(src.lines) {
			raw := src.lines[src.next]
			src.next++
			part, more := sc.strip(strings.TrimRight(raw, "\r"))
			text.WriteString(part)
			if !more {
				break
			}
			if name, _, ok := definition(strings.TrimSpace(text.String())); ok && r.dialect == dialectKeepalived {
				r.skipMultiline(src, name, at)
				text.Reset()
				break
			}
			text.WriteByte(' ')
		}
		if sc.quoted {
			return line{}, false, &SyntaxError{File: at.file, Line: at.line, Text: `unterminated quote (")`}
		}
		whole := strings.TrimSpace(text.String())
		if len(whole) > maxLine {
			return line{}, false, &SyntaxError{File: at.file, Line: at.line, Text: fmt.Sprintf("line longer than %d KiB: not a configuration file", maxLine>>10)}
		}
		if !utf8.ValidString(whole) {
			r.warn(at, "not UTF-8: the odd bytes are replaced by U+FFFD")
			whole = strings.ToValidUTF8(whole, "\ufffd")
		}
		return line{text: whole, at: at}, true, nil
	}
	return line{}, false, nil
}

// skipMultiline passes over the rest of a definition of several lines and
// remembers its name, so that its uses can be warned of.
func (r *reader) skipMultiline(src *source, name string, at place) {
	r.params.markMultiline(name)
	r.warn(at, fmt.Sprintf("$%s: parameters of several lines are not expanded; left out", name))
	for src.next < len(src.lines) {
		sc := commentScanner{dialect: r.dialect}
		_, more := sc.strip(strings.TrimRight(src.lines[src.next], "\r"))
		src.next++
		if !more {
			return
		}
	}
}

// commentScanner removes comments from the physical lines of one logical line.
// As in keepalived, only double quotes protect a # or !.
type commentScanner struct {
	dialect dialect
	quoted  bool
}

// strip returns the line without its comment, and whether it ends in a
// backslash and so goes on in the next one.
func (s *commentScanner) strip(text string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 == len(text):
			return out.String(), true
		case c == '\\':
			next := text[i+1]
			if s.quoted || next != '#' && next != '!' {
				out.WriteByte(c)
			}
			out.WriteByte(next)
			i++
			continue
		case c == '"':
			s.quoted = !s.quoted
		case !s.quoted && (c == '#' || c == '!' && s.dialect == dialectKeepalived):
			return out.String(), false
		}
		out.WriteByte(c)
	}
	return out.String(), false
}

// splitAtBraces puts each brace outside double quotes on a line of its own. The
// braces of ${NAME} are part of the name.
func splitAtBraces(text string) []string {
	var parts []string
	start, quoted := 0, false
	flush := func(end int) {
		if part := strings.TrimSpace(text[start:end]); part != "" {
			parts = append(parts, part)
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '$' && strings.HasPrefix(text[i:], "${"):
			if end := strings.IndexByte(text[i:], '}'); end >= 0 {
				i += end
			}
		case c == '{' || c == '}':
			flush(i)
			parts = append(parts, string(c))
			start = i + 1
		}
	}
	flush(len(text))
	return parts
}
