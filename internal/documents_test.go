// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// pathInText is a file or folder of the tree, named between backquotes.
	pathInText = regexp.MustCompile("`((?:bpf|cmd|docs|internal|pkg|test|tools)/[^` ]*)`")
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// documents are the Markdown files of the repository.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../bpf/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatal("no documents found")
	}
	return paths
}

// TestDocumentsNameWhatExists: a page that sends its readers to a file that has moved
// is worse than one that says nothing.
func TestDocumentsNameWhatExists(t *testing.T) {
	for _, path := range documents(t) {
		text := codeBlock.ReplaceAllString(readFile(t, path), "")
		for _, match := range pathInText.FindAllStringSubmatch(text, -1) {
			// ./internal/... and the like stand for many.
			name := strings.TrimSuffix(match[1], "/...")
			if found, err := filepath.Glob(filepath.Join("..", name)); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which there is not", path, match[1])
			}
		}
		for _, match := range markdownLink.FindAllStringSubmatch(text, -1) {
			checkLink(t, path, match[1])
		}
	}
}

func checkLink(t *testing.T, from, link string) {
	t.Helper()
	if strings.Contains(link, "://") {
		return
	}
	name, anchor, anchored := strings.Cut(link, "#")
	target := from
	if name != "" {
		target = filepath.Join(filepath.Dir(from), name)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s has a link to %s: %v", from, link, err)
		return
	}
	if anchored && !slices.Contains(anchors(readFile(t, target)), anchor) {
		t.Errorf("%s has a link to %s, and no heading there is called so", from, link)
	}
}

// anchors are what a page's headings are linked by: in lower case, without punctuation,
// and with a hyphen for each space.
func anchors(text string) (list []string) {
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, match[1]))
	}
	return list
}
