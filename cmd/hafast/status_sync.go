// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hafast/internal/control"
)

// syncLines are about state sync: one line that is all there is to say of a pair that is
// well, and one for each thing that somebody should know.
func syncLines(s control.Sync, now time.Time) []string {
	if s.State == "" || (s.State == control.SyncOff && s.Reason == "") {
		return nil
	}
	if s.State == control.SyncOff {
		return []string{"sync: off" + inBrackets(s.Reason)}
	}
	var lines []string
	if len(s.Peers) == 1 {
		lines = append(lines, "sync: "+sessionText(s.Peers[0], now)+", "+unprotected(s))
	} else {
		lines = append(lines, "sync: "+syncWord(s.State)+inBrackets(s.Reason)+", "+unprotected(s))
		for _, p := range s.Peers {
			lines = append(lines, "  "+sessionText(p, now))
		}
	}
	for _, p := range s.Peers {
		lines = append(lines, sessionNotes(p)...)
	}
	for _, t := range s.Tables {
		if t.Failed > 0 {
			lines = append(lines, fmt.Sprintf("  %s: %d did not go into the table; if it is full, %s", t.Name, t.Failed, moreRoom(t.Name)))
		}
	}
	if n := total(s.Rejected); n > 0 {
		lines = append(lines, fmt.Sprintf("  from others: %d refused (%s)", n, byReason(s.Rejected)))
	}
	if s.OtherKeyID != "" {
		lines = append(lines, fmt.Sprintf("  keys: %s seals, %s opens too", s.KeyID, s.OtherKeyID))
	}
	return lines
}

// sessionText says in a line how it stands with a peer.
func sessionText(p control.SyncPeer, now time.Time) string {
	text := syncWord(p.State) + " with " + peerName(p)
	if p.State == control.SyncConnecting {
		text = "connecting to " + peerName(p)
	}
	if p.State != control.SyncInSync {
		if !p.Since.IsZero() {
			text += " for " + age(now.Sub(p.Since))
		}
		text += inBrackets(p.Reason)
	}
	if p.State == control.SyncInSync && !p.Covered {
		text += ", which is still being told what is here"
	}
	if p.Lag != nil {
		text += fmt.Sprintf(", lag %s (p99 %s)", microseconds(1e3*p.Lag.P50MS), microseconds(1e3*p.Lag.P99MS))
	}
	if p.Backlog > 0 {
		text += ", " + count(p.Backlog, "change") + " waiting"
	}
	return text
}

// syncWord is a state in words. One that is not known here is from a newer daemon.
func syncWord(state string) string {
	return strings.ReplaceAll(state, "_", " ")
}

func peerName(p control.SyncPeer) string {
	if p.Node == "" {
		return p.Address
	}
	return p.Node + " (" + p.Address + ")"
}

// sessionNotes are what should not be, or should not have been.
func sessionNotes(p control.SyncPeer) []string {
	name := p.Node
	if name == "" {
		name = p.Address
	}
	var lines []string
	if p.SameHostAs != "" {
		lines = append(lines, fmt.Sprintf("  %s is the host of %s, which is told everything twice: %s", p.Address, p.SameHostAs, control.SyncOnce))
	}
	if p.ConfigSame != nil && !*p.ConfigSame {
		lines = append(lines, fmt.Sprintf("  %s has another configuration: instances, vips, services, balance and sync are to be alike", name))
	}
	if p.DivergenceFound > 0 {
		lines = append(lines, fmt.Sprintf("  %s: %d differed from what it has, and were mended", name, p.DivergenceFound))
	}
	if n := total(p.Rejected); n > 0 {
		lines = append(lines, fmt.Sprintf("  from %s: %d refused (%s)", name, n, byReason(p.Rejected)))
	}
	return lines
}

// unprotected says what would be lost if this host failed now.
func unprotected(s control.Sync) string {
	entries := fmt.Sprintf("%d conntrack entries", s.ConntrackUnprotected)
	if s.ConntrackUnprotected == 1 {
		entries = "1 conntrack entry"
	}
	has := func(table string) bool {
		return slices.ContainsFunc(s.Tables, func(t control.SyncTable) bool { return t.Name == table })
	}
	parts := []string{count(s.FlowsUnprotected, "flow")}
	switch {
	case has(control.SyncConntrack) && has(control.SyncFlows):
		parts = append(parts, entries)
	case has(control.SyncConntrack):
		parts = []string{entries}
	}
	return strings.Join(parts, " and ") + " unprotected"
}

func moreRoom(table string) string {
	if table == control.SyncConntrack {
		return "raise net.netfilter.nf_conntrack_max"
	}
	return "raise flows in the configuration"
}

func total(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// byReason lists the counts that are not 0: "11 key, 1 replay".
func byReason(counts map[string]uint64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		if counts[reason] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[reason], reason))
		}
	}
	return strings.Join(parts, ", ")
}
