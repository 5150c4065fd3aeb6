// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
)

// node is one line of the configuration and, where braces follow it, the
// lines between them.
type node struct {
	keyword string
	// args are the further words, double quotes removed, as keepalived's
	// ordinary keywords see them.
	args []string
	// text is the line itself, from which commands are split anew.
	text     string
	at       place
	block    bool
	children []*node
	// conntrackd marks the root of a conntrackd.conf.
	conntrackd bool
}

// arg returns the i-th argument, or "".
func (n *node) arg(i int) string {
	if i < len(n.args) {
		return n.args[i]
	}
	return ""
}

// rest returns the arguments from the i-th on.
func (n *node) rest(i int) []string {
	if i < len(n.args) {
		return n.args[i:]
	}
	return nil
}

// words returns the keyword and the arguments: the items of a list line.
func (n *node) words() []string { return append([]string{n.keyword}, n.args...) }

// title is how messages refer to the line.
func (n *node) title() string { return clip(hush(n.words())) }

// parse builds the tree. The root stands for the file and has no keyword.
func parse(r *reader) (*node, error) {
	root := &node{block: true}
	open := []*node{root}
	var last *node // the line a following "{" belongs to
	for {
		ln, more, err := r.next()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		fail := func(format string, args ...any) error {
			return &SyntaxError{File: ln.at.file, Line: ln.at.line, Text: fmt.Sprintf(format, args...)}
		}
		switch ln.text {
		case "{":
			if last == nil {
				return nil, fail("unexpected { without a keyword before it")
			}
			last.block = true
			open = append(open, last)
			last = nil
		case "}":
			if len(open) == 1 && r.dialect == dialectKeepalived {
				// keepalived goes on as well.
				r.warn(ln.at, "unexpected }: no block is open here, so a block above may end too soon; ignored")
				last = nil
				continue
			}
			if len(open) == 1 {
				return nil, fail("unexpected }: no block is open here")
			}
			open = open[:len(open)-1]
			last = nil
		default:
			words, err := splitWords(ln.text)
			if err != nil {
				return nil, fail("%v", err)
			}
			if len(words) == 0 {
				words = []string{""}
			}
			last = &node{keyword: words[0], args: words[1:], text: ln.text, at: ln.at}
			parent := open[len(open)-1]
			parent.children = append(parent.children, last)
		}
	}
	if len(open) > 1 {
		n := open[len(open)-1]
		return nil, &SyntaxError{File: n.at.file, Line: n.at.line, Text: fmt.Sprintf("the block of %s is never closed: } missing", quote(n.title()))}
	}
	return root, nil
}
