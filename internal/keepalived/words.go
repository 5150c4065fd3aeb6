// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"errors"
	"strconv"
	"strings"
)

const whiteSpace = " \t\f\v\r\n"

var errUnterminated = errors.New(`unterminated quote (')`)

// splitWords splits a line as keepalived does for ordinary keywords: at white
// space, with double quotes holding words together, and no escapes. A word
// that begins with a single quote must end with one; an apostrophe inside a
// word is just that.
func splitWords(text string) ([]string, error) {
	var words []string
	for {
		text = strings.TrimLeft(text, whiteSpace)
		if text == "" {
			return words, nil
		}
		if text[0] == '\'' {
			end := strings.IndexByte(text[1:], '\'')
			if end < 0 {
				return nil, errUnterminated
			}
			words = append(words, text[1:1+end])
			text = text[end+2:]
			continue
		}
		var word strings.Builder
		quoted := false
		i := 0
		for ; i < len(text); i++ {
			c := text[i]
			if c == '"' {
				quoted = !quoted
				continue
			}
			if !quoted && strings.IndexByte(whiteSpace, c) >= 0 {
				break
			}
			if c == '\\' && i+1 < len(text) && text[i+1] == '"' {
				i++
				c = '"'
			}
			word.WriteByte(c)
		}
		words = append(words, word.String())
		text = text[i:]
	}
}

// splitCommand splits a line as keepalived does for scripts: both kinds of
// quotes hold words together, and backslash escapes are resolved.
func splitCommand(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			r, n := unescape(text[i+1:])
			word.WriteString(r)
			inWord = true
			i += 1 + n
			continue
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			inWord = true
		case quote == 0 && strings.IndexByte(whiteSpace, c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
		i++
	}
	if quote != 0 {
		return nil, errUnterminated
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// unescape resolves what follows a backslash and returns how many bytes that was.
func unescape(text string) (string, int) {
	const plain = "a\ab\bE\x1bf\fn\nr\rt\tv\v"
	c := text[0]
	if i := strings.IndexByte(plain, c); i >= 0 && i%2 == 0 {
		return plain[i+1 : i+2], 1
	}
	number := func(digits string, base, most int) (string, int) {
		n := 0
		for n < len(digits) && n < most && isDigit(digits[n], base) {
			n++
		}
		value, err := strconv.ParseUint(digits[:n], base, 8)
		if err != nil {
			return "", 0
		}
		return string([]byte{byte(value)}), n
	}
	switch {
	case c == 'x':
		if s, n := number(text[1:], 16, 2); n > 0 {
			return s, n + 1
		}
	case c == 'c' && len(text) > 1:
		return string([]byte{text[1] & 0x1f}), 2
	case c >= '0' && c <= '7':
		if s, n := number(text, 8, 3); n > 0 {
			return s, n
		}
	}
	return text[:1], 1
}

func isDigit(c byte, base int) bool {
	_, err := strconv.ParseUint(string(c), base, 8)
	return err == nil
}

// command is a script with what may stand behind it.
type command struct {
	line  string
	user  string
	group string
}

// notifyCommand reads "keyword SCRIPT [user [group]]". The script's own
// arguments stand inside its quotes.
func (n *node) notifyCommand() (command, error) {
	words, err := splitCommand(n.text)
	if err != nil || len(words) < 2 {
		return command{}, err
	}
	cmd := command{line: words[1]}
	if len(words) > 2 {
		cmd.user = words[2]
	}
	if len(words) > 3 {
		cmd.group = words[3]
	}
	return cmd, nil
}

// scriptCommand reads "script SCRIPT" of a vrrp_script, where unquoted
// arguments are taken as part of the command.
func (n *node) scriptCommand() (string, error) {
	words, err := splitCommand(n.text)
	if err != nil || len(words) < 2 {
		return "", err
	}
	args := words[1:]
	if len(args) == 1 {
		return args[0], nil
	}
	for i, w := range args {
		if w == "" || strings.ContainsAny(w, whiteSpace+`"\$`) {
			args[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(args, " "), nil
}

// quote shows input in a message, on one line whatever it contains.
func quote(s string) string { return strconv.Quote(s) }

// plainPassword reads auth_pass as keepalived does: double quotes alone are
// special, so the password 'x' has three bytes.
func plainPassword(n *node) string {
	rest := strings.TrimLeft(strings.TrimPrefix(n.text, "auth_pass"), whiteSpace)
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		word, _, _ := strings.Cut(quoted, `"`)
		return word
	}
	if end := strings.IndexAny(rest, whiteSpace); end >= 0 {
		rest = rest[:end]
	}
	return rest
}
