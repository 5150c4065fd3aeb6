// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"hafast/internal/control"
)

// maxVIPs is how many addresses of an instance are shown; --json has them all.
const maxVIPs = 4

// statusText is the status for people, with ages as seen from now.
func statusText(st control.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: hafast %s, up %s\n", st.Node, st.Version, age(time.Duration(st.Uptime*float64(time.Second))))
	if st.Drained {
		b.WriteString("drained: this host takes over nothing while another can; 'hafast ready' ends it\n")
	}
	instancesText(&b, st.Instances, now)
	checksText(&b, st.Checks, now)
	targetsText(&b, st.Targets)
	livenessText(&b, st.Liveness, now)
	servicesText(&b, st.XDP.Services)
	partsText(&b, st, now)
	return b.String()
}

func instancesText(b *strings.Builder, instances []control.Instance, now time.Time) {
	if len(instances) == 0 {
		return
	}
	t := newTable(b, "INSTANCE", "VRID", "INTERFACE", "STATE", "SINCE", "PRIORITY", "ACTIVE", "VIPS")
	for _, inst := range instances {
		t.row(inst.Name, fmt.Sprint(inst.VRID), inst.Interface, inst.State, since(inst.Since, now),
			fmt.Sprintf("%d/%d", inst.Priority, inst.EffectivePriority), orDash(inst.Active), vipsText(inst.VIPs))
	}
	t.end()
	for _, inst := range instances {
		if inst.Reason != "" {
			fmt.Fprintf(b, "%s is in %s: %s\n", inst.Name, inst.State, inst.Reason)
		}
		if inst.OutOfService != "" {
			fmt.Fprintf(b, "%s is out of service here: %s\n", inst.Name, inst.OutOfService)
		}
	}
}

func checksText(b *strings.Builder, checks []control.Check, now time.Time) {
	if len(checks) == 0 {
		return
	}
	t := newTable(b, "CHECK", "STATE", "SINCE", "DETAIL")
	for _, c := range checks {
		state := "down"
		if c.Up {
			state = "up"
		}
		t.row(c.Name, state, since(c.Since, now), orDash(c.Detail))
	}
	t.end()
}

// vipsText lists the addresses as people write them: a host prefix is left out,
// and beyond a few they are counted.
func vipsText(vips []string) string {
	if len(vips) == 0 {
		return "-"
	}
	shown := make([]string, 0, maxVIPs+1)
	for i, vip := range vips {
		if i == maxVIPs && len(vips) > maxVIPs+1 {
			shown = append(shown, fmt.Sprintf("and %d more", len(vips)-maxVIPs))
			break
		}
		shown = append(shown, shortVIP(vip))
	}
	return strings.Join(shown, ", ")
}

func shortVIP(vip string) string {
	prefix, err := netip.ParsePrefix(vip)
	if err == nil && prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return vip
}

// since is a moment and how long ago it was.
func since(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", at.Local().Format(time.DateTime), age(now.Sub(at)))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// table aligns columns below their headings.
type table struct{ w *tabwriter.Writer }

// newTable starts a table with an empty line before it.
func newTable(b *strings.Builder, headings ...string) table {
	b.WriteByte('\n')
	t := table{tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)}
	t.row(headings...)
	return t
}

// row and end write into a strings.Builder, which does not fail.
func (t table) row(cells ...string) { _, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t table) end() { _ = t.w.Flush() }
