// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"path"
	"strings"
)

// shellSyntax warns of a command with redirections, pipes and the like.
// keepalived runs commands without a shell.
func (t *translator) shellSyntax(n *node, to *notes, line string) {
	if recognizeHAProxy(line) != nil || !hasShellSyntax(line) {
		return
	}
	t.warn(n.at, to, "%s: hafast runs this command with a shell, which obeys its redirections, pipes and variables; keepalived has no shell and passes them to the command as arguments", n.keyword)
}

// hasShellSyntax reports whether a command has, outside quotes, what a shell acts on.
func hasShellSyntax(line string) bool {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '\'':
			if c == quote {
				quote = 0
			}
		case c == '\\':
			i++
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '$' || c == '`' || quote == 0 && strings.IndexByte("|&;<>(){}*?", c) >= 0:
			return true
		}
	}
	return false
}

// isUser reports whether a word can be the name of a user.
func isUser(s string) bool {
	const marks = "._-@\\"
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
		if !letter && (c < '0' || c > '9') && (i == 0 || strings.IndexByte(marks, c) < 0) && (c != '$' || i == 0 || i < len(s)-1) {
			return false
		}
	}
	return s != ""
}

// processName reads "process NAME [PARAMETER]...". In quotes, keepalived takes all
// of it for the name, which no process has, so that words in quotes can only mean
// a name and its parameters.
func (t *translator) processName(n *node, to *notes) string {
	words := n.args
	if len(words) == 1 {
		words = strings.Fields(words[0])
	}
	if len(words) == 0 {
		return ""
	}
	name := words[0]
	if strings.Contains(name, "/") {
		name = path.Base(name)
	}
	switch {
	case len(words) > 1:
		t.warn(n.at, to, "%s: hafast compares /proc/PID/comm, the name alone: taken as %s, and any process of that name counts, whatever its parameters; use a script where they matter, such as pgrep -f", n.title(), quote(name))
	case name != n.arg(0):
		t.warn(n.at, to, "%s: hafast compares /proc/PID/comm, which has no path; taken as %s", n.title(), quote(name))
	}
	return name
}

// hush shows words up to the first that is followed by a secret: warnings end up
// in terminals and logs.
func hush(words []string) string {
	for i, w := range words {
		if (w == "auth_pass" || w == "key") && i+1 < len(words) {
			return strings.Join(words[:i+1], " ") + " (not shown)"
		}
	}
	return strings.Join(words, " ")
}
