// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"strings"
	"time"
	"unicode"
)

// Bounds of hafast.yaml that keepalived does not have, or has elsewhere.
const (
	maxWeight   = 253
	maxRuns     = 1000
	maxCount    = 100
	maxPause    = 10 * time.Second
	maxTime     = 24 * time.Hour
	minInterval = 10 * time.Millisecond
	maxName     = 64
	maxDevice   = 15 // IFNAMSIZ - 1
)

// fitName makes a name of anything: no spaces, at most 64 bytes.
func fitName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "")
	}
	return s
}

// name is fitName with a warning where it changes something.
func (t *translator) name(at place, to *notes, keyword, s string) string {
	fit := fitName(s)
	if fit != s {
		t.warn(at, to, "%s %s: names have no spaces and at most %d bytes; taken as %s", keyword, quote(clip(s)), maxName, quote(fit))
	}
	return fit
}

// device checks the name of an interface. An alias such as eth0:1 stands for its
// interface; lo is nothing VRRP can run on, and hafast puts each VIP there anyway.
func (t *translator) device(at place, to *notes, keyword, s string) string {
	name, _, alias := strings.Cut(s, ":")
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '/' }
	switch {
	case name == "" || len(name) > maxDevice || name == "." || name == ".." || strings.ContainsFunc(name, odd):
		t.warn(at, to, "%s %s: not the name of an interface; left out", keyword, quote(clip(s)))
		return ""
	case name == "lo":
		t.warn(at, to, "%s lo: hafast carries each VIP on lo by itself and can run nothing else there; left out", keyword)
		return ""
	case alias:
		t.warn(at, to, "%s %s: an alias is no interface of its own; taken as %s", keyword, quote(clip(s)), name)
	}
	return name
}

// isCommand reports whether a text can be a command line in hafast.yaml.
func isCommand(s string) bool {
	return strings.TrimSpace(s) != "" && !strings.ContainsFunc(s, unicode.IsControl)
}

// fitLabel reports whether the kernel takes an address label.
func fitLabel(label, device string) bool {
	return len(label) <= maxDevice && strings.HasPrefix(label, device)
}
