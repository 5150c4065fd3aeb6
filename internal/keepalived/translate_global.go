// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// globalDefs translates global_defs.
func (t *translator) globalDefs(block *node) {
	to := &t.doc.notes
	t.extraArgs(block, to, 0)
	for _, n := range block.children {
		switch n.keyword {
		case "router_id":
			if n.arg(0) == "" {
				t.warn(n.at, to, "router_id without a name; left out")
				continue
			}
			t.doc.node = t.name(n.at, to, n.keyword, n.arg(0))
			t.extraArgs(n, to, 1)
		case "script_user":
			t.scriptUser = t.name(n.at, to, n.keyword, n.arg(0))
			if group := n.arg(1); group != "" {
				t.warn(n.at, to, "script_user: group %s left out; hafast runs scripts with the user's own groups", quote(group))
			}
			t.extraArgs(n, to, 2)
		case "default_interface":
			t.defaultIface = t.device(n.at, to, n.keyword, n.arg(0))
			t.extraArgs(n, to, 1)
		case "vrrp_version":
			if v, ok := t.integer(n, to, 2, 3); ok {
				t.version = v
			}
		case "v3_checksum_as_v2":
			t.checksumAsV2 = t.flag(n, to)
		case "vrrp_rt_priority", "max_auto_priority":
			t.urgency(n)
		case "vrrp_mcast_group4", "vrrp_mcast_group6":
			if n.arg(0) != "224.0.0.18" && n.arg(0) != "ff02::12" {
				t.warn(n.at, to, "%s: hafast sends to 224.0.0.18 and ff02::12 alone; left out, use unicast: true if these are taken", n.title())
			}
		default:
			if keyword, ok := strings.CutPrefix(n.keyword, "vrrp_"); ok && t.announceKeyword(n, keyword, &t.doc.announce) || t.paceKeyword(n, &t.doc.announce) {
				continue
			}
			reason, known := reasonGlobal(n.keyword)
			t.leftOut(n, to, reason, known)
			continue
		}
		t.extraBlock(n, to)
	}
}

// urgency translates the ways of asking to be scheduled first.
func (t *translator) urgency(n *node) {
	if n.keyword == "max_auto_priority" && (n.arg(0) == "0" || n.arg(0) == "-1") {
		return // keepalived's default, with and without its warning at start-up
	}
	t.extraArgs(n, &t.doc.notes, 1)
	t.doc.notes.add(fmt.Sprintf("%s is covered: hafast runs at nice -20 unless told otherwise.", n.title()))
}

// announceKeyword translates the pacing of gratuitous ARP, which is spelled
// alike in instances and, with vrrp_ in front, in global_defs. keyword is the
// line's, as an instance spells it. It reports whether the line was one of those.
func (t *translator) announceKeyword(n *node, keyword string, a *announce) bool {
	to := &a.notes
	switch keyword {
	case "garp_master_delay":
		t.setTime(n, to, &a.repeatDelay, maxTime)
	case "garp_master_refresh":
		t.setTime(n, to, &a.refresh, maxTime)
	case "garp_master_repeat":
		if v, ok := t.integer(n, to, 1, maxCount); ok {
			a.count = &v
		}
	default:
		return false
	}
	t.extraBlock(n, to)
	return true
}

// setTime sets a time that was not given so far.
func (t *translator) setTime(n *node, to *notes, at **time.Duration, longest time.Duration) {
	if v, ok := t.seconds(n, to, longest); ok {
		*at = &v
	}
}

// paceKeyword translates the pacing that global_defs alone has.
func (t *translator) paceKeyword(n *node, a *announce) bool {
	to := &a.notes
	switch n.keyword {
	case "vrrp_garp_interval":
		t.setTime(n, to, &a.interval, maxPause)
	case "vrrp_gna_interval":
		before := a.interval
		t.setTime(n, to, &a.interval, maxPause)
		if before != nil && *before != *a.interval {
			t.warn(n.at, to, "vrrp_gna_interval differs from vrrp_garp_interval; hafast has one interval for both, the longer is taken")
			longer := max(*before, *a.interval)
			a.interval = &longer
		}
	case "vrrp_min_garp":
		if t.flag(n, to) {
			one, never := 1, time.Duration(0)
			a.count, a.repeatDelay = &one, &never
		}
	default:
		return false
	}
	t.extraBlock(n, to)
	return true
}

// settleAnnounce lifts what instances say of announcements to the whole
// daemon where they do not contradict each other.
func (t *translator) settleAnnounce() {
	lift := func(key string, global func(*announce) bool, same func(a, b *announce) bool, adopt func(from *announce)) {
		var saying []*instance
		for _, in := range t.doc.instances {
			if global(&in.announce) {
				saying = append(saying, in)
			}
		}
		if len(saying) == 0 {
			return
		}
		first := saying[0]
		differs := slices.ContainsFunc(saying, func(in *instance) bool { return !same(&in.announce, &first.announce) })
		if differs || len(saying) < len(t.doc.instances) {
			t.warn(first.at, &t.doc.announce.notes, "vrrp_instance %s: announce.%s holds for all instances in hafast; its value is taken for all", first.name, key)
		}
		adopt(&first.announce)
	}
	d := &t.doc.announce
	lift("count", func(a *announce) bool { return a.count != nil },
		func(a, b *announce) bool { return *a.count == *b.count },
		func(from *announce) { d.count = from.count })
	lift("repeat_delay", func(a *announce) bool { return a.repeatDelay != nil },
		func(a, b *announce) bool { return *a.repeatDelay == *b.repeatDelay },
		func(from *announce) { d.repeatDelay = from.repeatDelay })
	lift("refresh", func(a *announce) bool { return a.refresh != nil },
		func(a, b *announce) bool { return *a.refresh == *b.refresh },
		func(from *announce) { d.refresh = from.refresh })
	for _, in := range t.doc.instances {
		d.notes = append(d.notes, in.announce.notes...)
	}
}
