// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hafast/internal/control"
)

// maxServices is how many services are shown; --json has them all.
const maxServices = 8

func targetsText(b *strings.Builder, targets []control.Target) {
	if len(targets) == 0 {
		return
	}
	t := newTable(b, "TARGET", "ADDRESS", "STATE", "SERVICES", "DETAIL")
	for _, target := range targets {
		name := orDash(target.Node)
		if target.Self {
			name += " (here)"
		}
		t.row(name, orDash(target.Address), target.State, strconv.Itoa(target.Services), orDash(targetDetail(target)))
	}
	t.end()
}

func targetDetail(target control.Target) string {
	var parts []string
	if target.Reason != "" {
		parts = append(parts, target.Reason)
	}
	if target.LegReason != "" && target.State == control.StateUp {
		parts = append(parts, "no new flows from here: "+target.LegReason)
	}
	if target.Connections != nil {
		parts = append(parts, count(*target.Connections, "connection")+" left")
	}
	return strings.Join(parts, "; ")
}

func livenessText(b *strings.Builder, sessions []control.Liveness, now time.Time) {
	if len(sessions) == 0 {
		return
	}
	t := newTable(b, "PEER", "ADDRESS", "STATE", "SINCE", "PROBES", "RTT", "MISSED")
	for _, l := range sessions {
		rtt, missed := "-", "-"
		if l.Answered > 0 {
			rtt = microseconds(l.RTTMicroseconds)
		}
		if l.Sent > 0 {
			missed = fmt.Sprintf("%d of %d", l.Missed, l.Sent)
		}
		if l.LongestMiss > 0 {
			missed += fmt.Sprintf(", %d in a row at most", l.LongestMiss)
		}
		pace := fmt.Sprintf("%s x %d", time.Duration(l.IntervalMS*float64(time.Millisecond)), l.Multiplier)
		t.row(orDash(l.Peer), orDash(l.Address), l.State, since(l.Since, now), pace, rtt, missed)
	}
	t.end()
}

func servicesText(b *strings.Builder, services []control.XDPService) {
	if len(services) == 0 {
		return
	}
	shown := services
	if len(services) > maxServices+1 { // "1 more" would take a line too.
		shown = services[:maxServices]
	}
	t := newTable(b, "SERVICE", "PORT", "TARGETS")
	for _, s := range shown {
		t.row(s.VIP, fmt.Sprintf("%d/%s", s.Port, s.Proto), orDash(strings.Join(s.Targets, ", ")))
	}
	t.end()
	if more := len(services) - len(shown); more > 0 {
		fmt.Fprintf(b, "and %d more\n", more)
	}
}

// partsText shows the parts that are switched on, or off for a reason.
func partsText(b *strings.Builder, st control.Status, now time.Time) {
	lines := append(xdpLines(st.XDP), syncLines(st.Sync, now)...)
	if len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
}

// xdpLines are about the program, the lease and the flow table. Interfaces get a
// word of their own where they differ.
func xdpLines(x control.XDP) []string {
	if x.Mode == "" || (x.Mode == control.ModeOff && x.Reason == "") {
		return nil
	}
	line := "xdp: " + x.Mode
	if len(x.Interfaces) > 0 && x.Mode != control.ModeMixed {
		names := make([]string, len(x.Interfaces))
		for i, link := range x.Interfaces {
			names[i] = link.Name
		}
		line += " on " + strings.Join(names, ", ")
	}
	if x.Fallback {
		line += ", and should not be: this host is a plain VRRP daemon"
	}
	lines := []string{line + inBrackets(x.Reason)}
	if x.Remedy != "" {
		lines = append(lines, "  remedy: "+x.Remedy)
	}
	for _, lack := range x.Lacks {
		lines = append(lines, "  "+lack)
	}
	for _, link := range x.Interfaces {
		if x.Mode == control.ModeMixed || (link.Reason != "" && link.Reason != x.Reason) {
			lines = append(lines, "  "+link.Name+": "+link.Mode+inBrackets(link.Reason))
		}
	}
	if x.Lease != nil {
		lines = append(lines, leaseLine(*x.Lease))
	}
	if x.FlowCapacity > 0 {
		lines = append(lines, fmt.Sprintf("flows: %d, room for %d", x.Flows, x.FlowCapacity))
	}
	return lines
}

func leaseLine(l control.Lease) string {
	line := "lease: run out, this host does not answer for virtual addresses"
	if l.Fresh {
		line = fmt.Sprintf("lease: fresh, %.0fms left", l.RemainingMS)
	}
	if l.Lapses > 0 {
		line += fmt.Sprintf("; ran out %s so far", times(l.Lapses))
	}
	return line
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
