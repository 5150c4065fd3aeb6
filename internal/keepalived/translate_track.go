// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"slices"
	"strconv"
	"strings"
)

// trackKeyword translates the track_ blocks of instances and groups and
// reports whether the line was one.
func (t *translator) trackKeyword(n *node, track *tracking, to *notes) bool {
	var list *[]trackRef
	switch n.keyword {
	case "track_script":
		list = &track.scripts
	case "track_interface":
		list = &track.interfaces
	case "track_file":
		list = &track.files
	case "track_process":
		list = &track.processes
	default:
		return false
	}
	t.extraArgs(n, to, 0)
	for _, c := range n.children {
		*list = append(*list, t.trackRef(n.keyword, c, to))
		t.extraBlock(c, to)
	}
	return true
}

// trackRef reads "NAME [weight N] [reverse|noreverse]".
func (t *translator) trackRef(keyword string, n *node, to *notes) trackRef {
	ref := trackRef{name: n.keyword, at: n.at}
	for i := 0; i < len(n.args); i++ {
		switch option := n.args[i]; option {
		case "weight":
			i++
			w, err := strconv.Atoi(n.arg(i))
			if err != nil || w < -maxWeight || w > maxWeight {
				t.warn(n.at, to, "%s %s: weight %s is not a number from %d to %d; left out", keyword, n.keyword, quote(n.arg(i)), -maxWeight, maxWeight)
				continue
			}
			ref.weight = &w
		case "reverse", "noreverse", "no_reverse":
			reverse := option == "reverse"
			ref.reverse = &reverse
		default:
			t.warn(n.at, to, "%s %s: left out %s", keyword, n.keyword, quote(clip(strings.Join(n.args[i:], " "))))
			return ref
		}
	}
	return ref
}

// notifyKeyword translates notify_ lines and reports whether the line was one.
func (t *translator) notifyKeyword(n *node, to *notifications, at *notes) bool {
	var target *string
	switch n.keyword {
	case "notify_master":
		target = &to.active
	case "notify_backup":
		target = &to.backup
	case "notify_fault":
		target = &to.fault
	case "notify_stop":
		target = &to.stop
	case "notify":
		target = &to.any
	default:
		return false
	}
	cmd, err := n.notifyCommand()
	if err != nil || !isCommand(cmd.line) {
		t.warn(n.at, at, "%s: no command can be read here; left out", quote(n.text))
		return true
	}
	t.extraBlock(n, at)
	if cmd.user != "" && !isUser(cmd.user) {
		if cmd.line, err = n.scriptCommand(); err != nil || !isCommand(cmd.line) {
			t.warn(n.at, at, "%s: no command can be read here; left out", quote(n.text))
			return true
		}
		t.warn(n.at, at, "%s: keepalived takes %s for a user and so never runs this command; hafast runs the whole line, with %s as part of it", n.keyword, quote(cmd.user), quote(cmd.user))
		cmd.user, cmd.group = "", ""
	} else {
		t.extraArgs(n, at, 3)
	}
	*target = cmd.line
	t.shellSyntax(n, at, cmd.line)
	if cmd.group != "" {
		t.warn(n.at, at, "%s: group %s left out; hafast runs commands with the user's own groups", n.keyword, quote(cmd.group))
	}
	user := t.name(n.at, at, n.keyword, cmd.user)
	if user == "" {
		user = t.scriptUser
	}
	if to.user != "" && user != to.user {
		t.warn(n.at, at, "%s: hafast runs all notify commands of one instance as the same user, here %s", n.keyword, quote(to.user))
		return true
	}
	to.user = user
	return true
}

// settleTracking resolves what instances track against the definitions.
func (t *translator) settleTracking() {
	for _, in := range t.doc.instances {
		in.track.scripts = t.resolve(in, "track_script", in.track.scripts, func(ref *trackRef) (int, bool, bool) {
			s := t.scripts[ref.name]
			if s == nil {
				return 0, false, false
			}
			ref.name, ref.implied = fitName(s.name), s.weight
			return s.weight, s.reverse, true
		})
		in.track.files = t.resolve(in, "track_file", in.track.files, func(ref *trackRef) (int, bool, bool) {
			f := t.files[ref.name]
			if f == nil {
				return 0, false, false
			}
			ref.name, ref.implied = f.path, 1 // what a file's number is multiplied with
			return f.weight, f.reverse, true
		})
		in.track.processes = t.resolve(in, "track_process", in.track.processes, func(ref *trackRef) (int, bool, bool) {
			p := t.processes[ref.name]
			if p == nil {
				return 0, false, false
			}
			ref.name = p.process
			return p.weight, p.reverse, true
		})
		in.track.interfaces = t.resolve(in, "track_interface", in.track.interfaces, func(ref *trackRef) (int, bool, bool) {
			ref.name = t.device(ref.at, &in.notes, "track_interface", ref.name)
			return 0, false, ref.name != ""
		})
	}
}

// lookup finds what a reference refers to, puts the name that hafast uses
// in its place, and returns the default weight.
type lookup = func(*trackRef) (weight int, reverse, found bool)

// resolve fills in the weights and leaves out, with a warning, what cannot be
// said in hafast or what keepalived itself ignores.
func (t *translator) resolve(in *instance, keyword string, refs []trackRef, define lookup) []trackRef {
	var kept []trackRef
	for _, ref := range refs {
		name := ref.name
		weight, reverse, found := define(&ref)
		if ref.weight != nil {
			weight = *ref.weight
		}
		if ref.reverse != nil {
			reverse = *ref.reverse
		}
		drop := func(reason string) {
			t.warn(ref.at, &in.notes, "%s %s: %s; left out", keyword, name, reason)
		}
		switch {
		case !found:
			drop("defined nowhere")
			continue
		case slices.ContainsFunc(kept, func(k trackRef) bool { return k.name == ref.name }):
			drop("tracked already")
			continue
		case reverse:
			drop("hafast has no reversed checks")
			continue
		case keyword == "track_file" && weight == 0:
			drop("weight 0 (fault while the number is not zero) has no counterpart in hafast")
			continue
		case weight != 0 && in.group != nil && !in.group.weights && !ref.fromGroup:
			drop("keepalived ignores weighted checks of a sync group's members, and so they would drift apart")
			continue
		case weight != 0 && in.priority == 255:
			t.warn(ref.at, &in.notes, "%s %s: priority 255 cannot be weighed down; weight %d is taken as 0, as keepalived does", keyword, name, weight)
			weight = 0
		}
		ref.weight = &weight
		kept = append(kept, ref)
	}
	return kept
}
