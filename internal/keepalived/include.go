// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds on hostile or mistaken input. keepalived has none of them; no real
// configuration comes near.
const (
	maxFileSize  = 4 << 20
	maxIncludes  = 1000
	maxNesting   = 32
	maxLine      = 64 << 10 // bytes of a line, before and after parameter substitution
	maxBraceForm = 256      // file names one {a,b} pattern may stand for
)

// files is what the reader needs of a file system.
type files interface {
	// read returns a file's content, at most maxFileSize bytes of it.
	read(path string) ([]byte, error)
	// glob returns the existing paths that match a pattern, sorted.
	glob(pattern string) ([]string, error)
	// abs makes a path absolute.
	abs(path string) string
}

// disk is the host's file system.
type disk struct{}

var errNotRegular = errors.New("not a regular file")

func (disk) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// A directory can be opened but not read; a pipe is welcome, so that
	// "hafast import <(ssh host cat ...)" works.
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.IsDir() || info.Mode()&fs.ModeDevice != 0 {
		return nil, errNotRegular
	}
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

func (disk) glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

func (disk) abs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path // there is no working directory to complete it with
	}
	return abs
}

// source is one open file.
type source struct {
	path  string
	lines []string
	next  int
	// siblings are the further files of the same include directive, and from
	// is where that stands.
	siblings []string
	from     place
}

// detect tells the kind of file by its first word, which in conntrackd.conf
// is the name of a section.
func detect(text string) dialect {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, _, _ := strings.Cut(strings.NewReplacer("\t", " ", "{", " ").Replace(line), " ")
		switch word {
		case "Sync", "General", "Stats", "Helper":
			return dialectConntrackd
		}
		return dialectKeepalived
	}
	return dialectKeepalived
}

// close ends the file on top of the stack and goes on with its next sibling.
func (r *reader) close() error {
	done := r.stack[len(r.stack)-1]
	r.stack = r.stack[:len(r.stack)-1]
	if len(done.siblings) == 0 {
		return nil
	}
	return r.open(done.siblings, done.from)
}

// open pushes the first of the files onto the stack of those being read; the
// others follow when it ends. from is the place of the include directive, or
// the zero place for a file named by the caller.
func (r *reader) open(paths []string, from place) error {
	path := paths[0]
	at := from
	if at.file == "" {
		at.file = path
	}
	fail := func(cause error, format string, args ...any) error {
		return &SyntaxError{File: at.file, Line: at.line, Text: fmt.Sprintf(format, args...), Err: cause}
	}
	key := filepath.Clean(path)
	if slices.ContainsFunc(r.stack, func(s *source) bool { return filepath.Clean(s.path) == key }) {
		return fail(nil, "include loop: %s includes itself", path)
	}
	if r.opened++; r.opened > maxIncludes || len(r.stack) >= maxNesting {
		return fail(nil, "too many includes (at most %d files, %d deep): is there a loop?", maxIncludes, maxNesting)
	}
	data, err := r.fsys.read(path)
	if err != nil {
		return fail(err, "read %s: %v", path, cause(err))
	}
	if len(data) > maxFileSize {
		return fail(nil, "%s is larger than %d MiB: not a configuration file", path, maxFileSize>>20)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for i, line := range strings.Split(text, "\n") {
		if strings.ContainsFunc(line, isBinary) {
			return &SyntaxError{File: path, Line: i + 1, Text: "binary data: not a configuration file"}
		}
	}
	if len(r.stack) == 0 {
		r.dialect = detect(text)
	}
	r.stack = append(r.stack, &source{path: path, lines: strings.Split(text, "\n"), siblings: paths[1:], from: from})
	return nil
}

// cause drops the operation and path that os errors repeat.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// isBinary tells the control characters that text files do not have.
func isBinary(c rune) bool {
	return c < ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v' || c == 0x7f
}

// include handles an include directive, or reports that the line is none. The
// files are read before the rest of the including one, in the order of their names.
func (r *reader) include(ln line) (bool, error) {
	keyword, arg, _ := strings.Cut(strings.ReplaceAll(ln.text, "\t", " "), " ")
	switch keyword {
	case "include", "includer", "includem", "includew", "includeb", "includea":
	default:
		return false, nil
	}
	pattern := strings.Trim(strings.TrimSpace(arg), `"'`)
	if pattern == "" {
		return true, &SyntaxError{File: ln.at.file, Line: ln.at.line, Text: keyword + " without a file name"}
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(ln.at.file), pattern)
	}
	var paths []string
	forms := expandBraces(pattern)
	for _, p := range forms {
		if len(forms) == 1 && !strings.ContainsAny(p, "*?[") {
			paths = append(paths, p)
			continue
		}
		matches, err := r.fsys.glob(p)
		if err != nil {
			return true, &SyntaxError{File: ln.at.file, Line: ln.at.line, Text: fmt.Sprintf("include %s: %v", p, err), Err: err}
		}
		if len(matches) == 0 {
			// keepalived takes this in its stride, unless asked not to.
			text := fmt.Sprintf("%s %s: no file matches", keyword, p)
			if keyword == "includea" || keyword == "includew" && len(forms) == 1 || keyword == "includeb" && len(forms) > 1 {
				return true, &SyntaxError{File: ln.at.file, Line: ln.at.line, Text: text, Err: fs.ErrNotExist}
			}
			r.warn(ln.at, text)
		}
		paths = append(paths, matches...)
	}
	if len(paths) == 0 {
		return true, nil
	}
	return true, r.open(paths, ln.at)
}

// expandBraces spells out csh-style alternatives: a{b,c} is ab and ac.
func expandBraces(pattern string) []string {
	done := []string{}
	todo := []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= maxBraceForm {
		p := todo[0]
		todo = todo[1:]
		// The last opening brace has no other inside its pair.
		open := strings.LastIndexByte(p, '{')
		length := -1
		if open >= 0 {
			length = strings.IndexByte(p[open:], '}')
		}
		if length < 0 {
			done = append(done, p)
			continue
		}
		for alternative := range strings.SplitSeq(p[open+1:open+length], ",") {
			todo = append(todo, p[:open]+alternative+p[open+length+1:])
		}
	}
	return append(done, todo...)
}
