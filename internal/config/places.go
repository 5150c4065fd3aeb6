// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"unicode"
)

// Places maps the path of each key that is set in a file to where it stands.
// Paths are written as in "haproxy.pidfile" and "instances[0].vips[2]".
type Places map[string]Place

// Of returns the place of a key. A key that is not set has the place of what
// encloses it, so there is an answer for defaults too.
func (p Places) Of(path string) Place {
	for key := path; ; key = parent(key) {
		if place, ok := p[key]; ok || key == "" {
			place.Key = path
			return place
		}
	}
}

// parent cuts the last step from a path: a[0].b[1] -> a[0].b -> a[0] -> a -> "".
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// last is a path's last key without its index: a[0].b[1] -> b.
func last(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	key, _, _ := strings.Cut(path, "[")
	return key
}

// general takes the indices out of a path: a[0].b[1] -> a[].b[]. No key has digits.
func general(path string) string {
	var b strings.Builder
	for _, r := range path {
		if !unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
