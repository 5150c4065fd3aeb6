// SPDX-License-Identifier: Apache-2.0

package spawn

import (
	"errors"
	"strings"
)

// Errors of Split.
var (
	ErrEmpty  = errors.New("command is empty")
	ErrQuote  = errors.New("quote is not closed")
	ErrEscape = errors.New("backslash at the end of the command")
)

// Split turns a command line into an argument vector.
//
// Words are separated by blanks; single quotes, double quotes and backslashes
// mean what they mean to sh(1). A line with anything else that a shell would
// act on (| & ; < > ( ) $ ` * ? [ ] # ~ { } ! outside quotes, $ and ` inside
// double quotes, a newline, an assignment before the command) becomes
// /bin/sh -c LINE. Extra args are appended as words of their own; for a shell
// line they go to its last command.
func Split(line string, args ...string) ([]string, error) {
	words, shell, err := split(strings.TrimSpace(line))
	switch {
	case err != nil:
		return nil, err
	case len(words) == 0:
		return nil, ErrEmpty
	case shell && len(args) > 0:
		return append([]string{"/bin/sh", "-c", line + ` "$@"`, "sh"}, args...), nil
	case shell:
		return []string{"/bin/sh", "-c", line}, nil
	}
	return append(words, args...), nil
}

func split(line string) (words []string, shell bool, err error) {
	var (
		word   strings.Builder
		inWord bool // tells an empty quoted word from no word
		quote  byte // ' or " while inside a quoted part
	)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case quote == '"' && c == '"':
			quote = 0
		case c == '\\':
			i++
			if i == len(line) {
				return nil, false, ErrEscape
			}
			// Inside double quotes a backslash only escapes these (POSIX
			// XCU 2.2.3).
			if quote == '"' && !strings.ContainsRune("$`\"\\\n", rune(line[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
			inWord = true
		case quote == '"':
			shell = shell || c == '$' || c == '`'
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			shell = shell || strings.IndexByte("|&;<>()$`*?[]#~{}!\n", c) >= 0
			shell = shell || c == '=' && len(words) == 0
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, false, ErrQuote
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, shell, nil
}
