// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"slices"
	"strings"
)

// rules warns of virtual_rules, each with the commands that do the same.
func (t *translator) rules(in *instance, block *node) {
	to := &in.notes
	t.extraArgs(block, to, 0)
	if len(block.children) == 0 {
		t.warn(block.at, to, "virtual_rules is empty; left out")
	}
	for _, n := range block.children {
		ip := "ip"
		words := slices.DeleteFunc(n.words(), func(w string) bool { return w == "no_track" || w == "inet" })
		if slices.ContainsFunc(words, func(w string) bool { return w == "inet6" || strings.Contains(w, ":") }) {
			ip = "ip -6"
			words = slices.DeleteFunc(words, func(w string) bool { return w == "inet6" })
		}
		rule := strings.Join(words, " ")
		t.warn(n.at, to, "virtual_rules %s: hafast installs routes, but no rules; left out: run '%s rule add %s' from notify.active and '%s rule del %s' from notify.backup, notify.fault and notify.stop, or put the rule into the network configuration", quote(clip(rule)), ip, rule, ip, rule)
		t.extraBlock(n, to)
	}
}
