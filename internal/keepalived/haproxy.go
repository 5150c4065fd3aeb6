// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// defaultPidfile is where hafast, and the usual haproxy.cfg, have it.
const defaultPidfile = "/var/run/haproxy.pid"

// haproxyProbe is a command that does no more than look for haproxy.
type haproxyProbe struct {
	// pidfile is the one the command reads, if it reads one.
	pidfile string
	// flaw is what the command gets wrong, as the end of a sentence.
	flaw string
}

// recognizeHAProxy returns the probe that a command line is, or nil.
func recognizeHAProxy(line string) *haproxyProbe {
	words := withoutRedirections(strings.Fields(line))
	if len(words) > 0 && path.Base(words[0]) == "sudo" {
		words = words[1:]
		if len(words) > 0 && words[0] == "-n" {
			words = words[1:]
		}
	}
	if len(words) < 2 {
		return nil
	}
	flags, names := partition(words[1:], func(w string) bool { return strings.HasPrefix(w, "-") })
	only := func(allowed ...string) bool {
		return !slices.ContainsFunc(flags, func(f string) bool { return !slices.Contains(allowed, f) })
	}
	named := len(names) == 1 && isHAProxy(names[0])
	exact := slices.Contains(flags, "-x")
	part := `is also content with any other process whose name contains "haproxy"`
	whole := "is content with any process of that name, of whatever instance"
	if !exact {
		whole, part = part, whole
	}
	switch path.Base(words[0]) {
	case "pkill":
		if named && slices.Contains(flags, "-0") && only("-0", "-x", "-f") {
			return &haproxyProbe{flaw: whole}
		}
	case "pgrep":
		if named && only("-x", "-f", "-c", "-n", "-o") {
			return &haproxyProbe{flaw: whole}
		}
	case "killall":
		if named && slices.Contains(flags, "-0") && only("-0", "-q", "-e") {
			return &haproxyProbe{flaw: part}
		}
	case "pidof":
		if named && only("-s", "-x", "-q") {
			return &haproxyProbe{flaw: "is content with any process of that name, of whatever instance"}
		}
	case "systemctl":
		if len(names) == 2 && (names[0] == "is-active" || names[0] == "status") && isHAProxy(names[1]) && only("-q", "--quiet") {
			return &haproxyProbe{flaw: "asks systemd over D-Bus each time"}
		}
	case "service":
		if len(names) == 2 && isHAProxy(names[0]) && names[1] == "status" && len(flags) == 0 {
			return &haproxyProbe{flaw: "asks the service manager each time"}
		}
	case "kill":
		if len(words) > 2 && words[1] == "-0" {
			return recognizeKill(strings.Join(words[2:], " "))
		}
	}
	return nil
}

// recognizeKill reads the argument of kill -0: $(cat PIDFILE) or $(pidof haproxy).
func recognizeKill(arg string) *haproxyProbe {
	arg = strings.Trim(arg, `"`)
	inner, ok := strings.CutPrefix(arg, "$(")
	if ok {
		inner, ok = strings.CutSuffix(inner, ")")
	} else if inner, ok = strings.CutPrefix(arg, "`"); ok {
		inner, ok = strings.CutSuffix(inner, "`")
	}
	if !ok {
		return nil
	}
	words := strings.Fields(inner)
	if len(words) == 2 && (words[0] == "cat" || words[0] == "<") && path.IsAbs(words[1]) && strings.Contains(path.Base(words[1]), "haproxy") {
		return &haproxyProbe{pidfile: words[1], flaw: "takes whatever process has that number by now for haproxy"}
	}
	return recognizeHAProxy(inner)
}

func isHAProxy(name string) bool {
	switch path.Base(strings.Trim(name, `"'^$`)) {
	case "haproxy", "haproxy.service":
		return true
	}
	return false
}

// withoutRedirections drops what sends output to nowhere.
func withoutRedirections(words []string) []string {
	var kept []string
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case ">", "1>", "2>", "&>":
			i++ // and its file
		case ">/dev/null", "1>/dev/null", "2>/dev/null", "&>/dev/null", "2>&1":
		default:
			kept = append(kept, words[i])
		}
	}
	return kept
}

// settleHAProxy turns the check for haproxy into the haproxy section, if all
// who track it mean the same by it.
func (t *translator) settleHAProxy() {
	type use struct {
		in     *instance
		s      *script
		weight int
	}
	var uses []use
	odd := "" // why it must stay a script
	for _, in := range t.doc.instances {
		tracked := 0
		for _, ref := range in.track.scripts {
			s := t.scripts[ref.name]
			if s == nil || s.haproxy == nil {
				continue
			}
			tracked++
			u := use{in, s, s.weight}
			if ref.weight != nil {
				u.weight = *ref.weight
			}
			if reverse := s.reverse; ref.reverse != nil && *ref.reverse || ref.reverse == nil && reverse {
				odd = "it is reversed"
			}
			if len(uses) > 0 && uses[0].weight != u.weight {
				odd = "instances give it different weights"
			}
			uses = append(uses, u)
		}
		if tracked > 1 {
			odd = "an instance tracks several of its kind"
		}
	}
	for _, s := range t.doc.scripts {
		tracked := slices.ContainsFunc(uses, func(u use) bool { return u.s == s })
		if s.haproxy != nil && !tracked {
			t.doc.notes = append(t.doc.notes, s.notes...)
			t.warn(s.at, &t.doc.notes, "vrrp_script %s looks for haproxy, but nobody tracks it, so keepalived never runs it; left out", s.name)
		}
	}
	keep := func(s *script) bool {
		return s.haproxy != nil && !(odd != "" && slices.ContainsFunc(uses, func(u use) bool { return u.s == s }))
	}
	if len(uses) > 0 && odd != "" {
		for _, s := range t.doc.scripts {
			if !keep(s) && s.haproxy != nil {
				t.warn(s.at, &s.notes, "vrrp_script %s looks for haproxy but stays a script, because %s; the haproxy section would be quicker", s.name, odd)
			}
		}
	}
	t.doc.scripts = slices.DeleteFunc(t.doc.scripts, keep)
	if len(uses) == 0 || odd != "" {
		return
	}

	h := &haproxyCheck{pidfile: defaultPidfile, weight: uses[0].weight}
	var seen []*script
	for _, u := range uses {
		if u.weight != 0 && u.in.group != nil && !u.in.group.weights && !groupTracks(u.in.group, u.s.name) {
			t.warn(u.in.at, &u.in.notes, "vrrp_instance %s: keepalived ignores %s, a weighted check of a sync group's member; hafast's haproxy section weighs on all instances alike", u.in.name, u.s.name)
		}
		if slices.Contains(seen, u.s) {
			continue
		}
		seen = append(seen, u.s)
		h.notes = append(h.notes, u.s.notes...)
		h.notes.add(fmt.Sprintf("Replaces vrrp_script %s (%s every %s), which %s. hafast holds a pidfd on the process that the pidfile names and hears of its end in microseconds, not at the next run.",
			u.s.name, quote(u.s.command), duration(u.s.interval), u.s.haproxy.flaw))
		if u.s.haproxy.pidfile != "" {
			h.pidfile = u.s.haproxy.pidfile
		}
	}
	for _, in := range t.doc.instances {
		watches := slices.ContainsFunc(uses, func(u use) bool { return u.in == in })
		if !watches {
			t.warn(in.at, &in.notes, "vrrp_instance %s does not track haproxy in keepalived; in hafast the haproxy section holds for all instances", in.name)
		}
		in.track.scripts = slices.DeleteFunc(in.track.scripts, func(ref trackRef) bool {
			return slices.ContainsFunc(seen, func(s *script) bool { return s.name == ref.name })
		})
	}
	t.doc.haproxy = h
}

func groupTracks(g *group, script string) bool {
	return slices.ContainsFunc(g.track.scripts, func(ref trackRef) bool { return ref.name == script })
}
