// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"strings"
	"sync"
	"unicode"
)

// tailSize bounds what is kept of a child's output, in bytes.
const tailSize = 200

// tail keeps the last bytes written to it. The zero value is ready to use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails: a child is not held up by what it prints.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keep := p
	if len(keep) > 2*tailSize {
		keep = keep[len(keep)-2*tailSize:]
	}
	t.buf = append(t.buf, keep...)
	if over := len(t.buf) - 2*tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// lastLine is the last line that is not blank, at most tailSize bytes of it,
// with everything unprintable replaced: it ends up in logs and on terminals.
func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(string(t.buf))
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	if len(s) > tailSize {
		s = s[:tailSize]
	}
	s = strings.ToValidUTF8(s, "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
}
