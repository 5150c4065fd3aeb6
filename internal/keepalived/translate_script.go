// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"path"
	"time"
)

// script translates vrrp_script.
func (t *translator) script(block *node) {
	s := &script{name: block.arg(0), at: block.at, interval: time.Second, rise: 1, fall: 1}
	if !t.named(block, t.scripts[s.name] != nil) {
		return
	}
	for _, n := range block.children {
		t.scriptKeyword(s, n)
	}
	if s.command == "" {
		t.doc.notes = append(t.doc.notes, s.notes...)
		t.warn(block.at, &t.doc.notes, "vrrp_script %s has no script; left out", s.name)
		return
	}
	if s.user == "" {
		s.user = t.scriptUser
	}
	s.haproxy = recognizeHAProxy(s.command)
	t.scripts[s.name] = s
	t.doc.scripts = append(t.doc.scripts, s)
}

// named checks that a block has one name, new among its kind.
func (t *translator) named(block *node, taken bool) bool {
	to := &t.doc.notes
	switch {
	case block.arg(0) == "":
		t.warn(block.at, to, "%s without a name; left out", block.keyword)
		return false
	case taken:
		t.warn(block.at, to, "%s: the name is taken by an earlier one; left out", block.title())
		return false
	}
	t.name(block.at, to, block.keyword, block.arg(0))
	t.extraArgs(block, to, 1)
	return true
}

func (t *translator) scriptKeyword(s *script, n *node) {
	to := &s.notes
	switch n.keyword {
	case "script":
		line, err := n.scriptCommand()
		if err != nil || !isCommand(line) {
			t.warn(n.at, to, "%s: no command can be read here; left out", quote(n.text))
			return
		}
		t.shellSyntax(n, to, line)
		if len(n.args) > 1 {
			t.warn(n.at, to, "script: keepalived runs only the first word of an unquoted command; hafast runs all of it")
		}
		s.command = line
	case "interval":
		if v, ok := t.seconds(n, to, maxTime); ok && v >= minInterval {
			s.interval = v
		} else if ok {
			t.warn(n.at, to, "%s: shorter than hafast's %s; taken as 1s", n.title(), duration(minInterval))
		}
	case "timeout":
		if v, ok := t.seconds(n, to, maxTime); ok {
			s.timeout = v
		}
	case "rise":
		if v, ok := t.integer(n, to, 1, maxRuns); ok {
			s.rise = v
		}
	case "fall":
		if v, ok := t.integer(n, to, 1, maxRuns); ok {
			s.fall = v
		}
	case "weight":
		s.weight, s.reverse = t.weightLine(n, to, s.weight)
	case "user":
		s.user = t.name(n.at, to, n.keyword, n.arg(0))
		if group := n.arg(1); group != "" {
			t.warn(n.at, to, "user: group %s left out; hafast runs scripts with the user's own groups", quote(group))
		}
		t.extraArgs(n, to, 2)
	case "init_fail":
		t.warn(n.at, to, "init_fail has no counterpart; left out")
	default:
		t.leftOut(n, to, "", false)
		return
	}
	t.extraBlock(n, to)
}

// weightLine reads "weight N [reverse]" of a definition.
func (t *translator) weightLine(n *node, to *notes, otherwise int) (weight int, reverse bool) {
	switch n.arg(1) {
	case "reverse":
		reverse = true
		n = &node{keyword: n.keyword, args: append([]string{n.arg(0)}, n.rest(2)...), at: n.at, text: n.text}
	case "noreverse":
		n = &node{keyword: n.keyword, args: append([]string{n.arg(0)}, n.rest(2)...), at: n.at, text: n.text}
	}
	weight, ok := t.integer(n, to, -maxWeight, maxWeight)
	if !ok {
		return otherwise, reverse
	}
	return weight, reverse
}

// trackFile translates a track_file definition.
func (t *translator) trackFile(block *node) {
	to := &t.doc.notes
	if !t.named(block, t.files[block.arg(0)] != nil) {
		return
	}
	f := &trackFile{weight: 1}
	for _, n := range block.children {
		switch n.keyword {
		case "file":
			t.extraArgs(n, to, 1)
			if f.path = n.arg(0); !path.IsAbs(f.path) {
				t.warn(n.at, to, "%s: hafast wants an absolute path", n.title())
				f.path = ""
			}
		case "weight":
			f.weight, f.reverse = t.weightLine(n, to, f.weight)
		case "init_file":
			t.warn(n.at, to, "%s: hafast does not write tracked files; create %s before it starts", n.title(), quote(f.path))
		default:
			t.leftOut(n, to, "", false)
			continue
		}
		t.extraBlock(n, to)
	}
	if f.path == "" {
		t.warn(block.at, to, "%s names no usable file; left out", block.title())
		return
	}
	t.files[block.arg(0)] = f
}

// trackProcess translates a vrrp_track_process.
func (t *translator) trackProcess(block *node) {
	to := &t.doc.notes
	if !t.named(block, t.processes[block.arg(0)] != nil) {
		return
	}
	p := &trackProcess{}
	for _, n := range block.children {
		switch n.keyword {
		case "process":
			p.process = t.processName(n, to)
		case "weight":
			p.weight, p.reverse = t.weightLine(n, to, p.weight)
		case "quorum":
			if n.arg(0) != "1" {
				t.warn(n.at, to, "%s: hafast asks for one process; left out", n.title())
			}
		case "quorum_max":
			t.warn(n.at, to, "%s: hafast has no upper bound on processes; left out", n.title())
		case "delay", "fork_delay", "terminate_delay":
			t.warn(n.at, to, "%s: hafast acts on a process's start and end at once; left out", n.title())
		case "param_match", "full_command":
			t.warn(n.at, to, "%s: hafast compares the process name alone; left out", n.title())
		default:
			t.leftOut(n, to, "", false)
			continue
		}
		t.extraBlock(n, to)
	}
	if p.process == "" {
		t.warn(block.at, to, "%s names no process; left out", block.title())
		return
	}
	t.processes[block.arg(0)] = p
}
