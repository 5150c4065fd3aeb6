// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// translator walks the trees of all files and fills the document. Each block
// is handled by itself; what depends on the whole configuration is settled in
// finish.
type translator struct {
	blocks   []*node // of all files, in their order
	doc      *document
	warnings []Warning
	order    map[string]int

	version      int    // vrrp_version
	checksumAsV2 bool   // v3_checksum_as_v2 of global_defs
	scriptUser   string // script_user
	defaultIface string // default_interface
	scripts      map[string]*script
	files        map[string]*trackFile
	processes    map[string]*trackProcess
	instances    map[string]*instance
	groups       map[string]*group
	// unfinished holds the lines whose YAML cannot load, once that has been said.
	unfinished map[place]bool
}

func newTranslator() *translator {
	return &translator{
		doc:       &document{},
		order:     map[string]int{},
		version:   2,
		scripts:   map[string]*script{},
		files:     map[string]*trackFile{},
		processes: map[string]*trackProcess{},
		instances: map[string]*instance{},
		groups:    map[string]*group{},

		unfinished: map[place]bool{},
	}
}

// warnAt is a warning about the file as a whole.
func (t *translator) warnAt(at place, text string) { t.warn(at, &t.doc.notes, "%s", text) }

// warn records a warning and puts it among the notes of the part of the YAML
// that it concerns.
func (t *translator) warn(at place, to *notes, format string, args ...any) {
	t.meet(at.file)
	w := Warning{File: at.file, Line: at.line, Text: fmt.Sprintf(format, args...)}
	t.warnings = append(t.warnings, w)
	*to = append(*to, note{at, w.String()})
}

// meet remembers the order in which files are met.
func (t *translator) meet(file string) {
	if _, met := t.order[file]; !met {
		t.order[file] = len(t.order) + 1 // 0 is for notes of no file
	}
}

// read takes in one file. The blocks of keepalived.conf wait for finish, because
// one may refer to another further down or in the next file.
func (t *translator) read(root *node) {
	if root.conntrackd {
		t.conntrackd(root)
		return
	}
	t.doc.keepalived = true
	t.blocks = append(t.blocks, root.children...)
}

// translate goes through the blocks, those first that others build on.
func (t *translator) translate() {
	each := func(translate func(*node), keywords ...string) {
		for _, n := range t.blocks {
			if slices.Contains(keywords, n.keyword) {
				translate(n)
			}
		}
	}
	each(t.globalDefs, "global_defs")
	each(t.script, "vrrp_script")
	each(t.trackFile, "track_file", "vrrp_track_file")
	each(t.trackProcess, "vrrp_track_process")
	each(t.instance, "vrrp_instance")
	each(t.syncGroup, "vrrp_sync_group")
	for _, n := range t.blocks {
		switch n.keyword {
		case "global_defs", "vrrp_script", "track_file", "vrrp_track_file", "vrrp_track_process", "vrrp_instance", "vrrp_sync_group":
		default:
			reason, known := reasonTopLevel(n.keyword)
			t.leftOut(n, &t.doc.notes, reason, known)
		}
	}
}

// leftOut warns of a line, or a whole block, that has no counterpart.
func (t *translator) leftOut(n *node, to *notes, reason string, known bool) {
	if !known {
		reason = reasonMisplaced(n.keyword)
	}
	title := n.title()
	if n.block {
		title += " {...}"
	}
	t.warn(n.at, to, "%s: %s", title, reason)
}

// extraArgs warns of words that a keyword does not take: a second keyword on the
// same line is lost in keepalived too.
func (t *translator) extraArgs(n *node, to *notes, takes int) {
	if extra := n.rest(takes); len(extra) > 0 {
		t.warn(n.at, to, "%s: left out %s; keepalived reads one keyword a line", n.keyword, quote(clip(hush(extra))))
	}
}

// extraBlock warns of braces behind a keyword that has none.
func (t *translator) extraBlock(n *node, to *notes) {
	for _, c := range n.children {
		t.leftOut(c, to, "stands in braces behind "+n.keyword+", which takes none; left out", true)
	}
}

// integer reads argument 0 as a number within bounds.
func (t *translator) integer(n *node, to *notes, lowest, highest int) (int, bool) {
	v, err := strconv.Atoi(n.arg(0))
	if err != nil || v < lowest || v > highest {
		t.warn(n.at, to, "%s %s: not a number from %d to %d; left out", n.keyword, quote(n.arg(0)), lowest, highest)
		return 0, false
	}
	t.extraArgs(n, to, 1)
	return v, true
}

// seconds reads argument 0 as a time in seconds, with fractions, up to the
// given bound.
func (t *translator) seconds(n *node, to *notes, longest time.Duration) (time.Duration, bool) {
	v, err := strconv.ParseFloat(n.arg(0), 64)
	// The negated comparison refuses NaN as well.
	if err != nil || !(v >= 0 && v <= longest.Seconds()) {
		t.warn(n.at, to, "%s %s: not a time from 0 to %g seconds; left out", n.keyword, quote(n.arg(0)), longest.Seconds())
		return 0, false
	}
	t.extraArgs(n, to, 1)
	return (time.Duration(v*1e6+0.5) * time.Microsecond), true
}

// flag reads an optional BOOL argument; a bare keyword is true.
func (t *translator) flag(n *node, to *notes) bool {
	t.extraArgs(n, to, 1)
	switch n.arg(0) {
	case "", "on", "true", "yes":
		return true
	case "off", "false", "no":
		return false
	}
	t.warn(n.at, to, "%s %s: neither on nor off; taken as on", n.keyword, quote(n.arg(0)))
	return true
}

// finish settles what depends on the configuration as a whole.
func (t *translator) finish() {
	t.translate()
	t.groupTracking()
	for _, in := range t.doc.instances {
		t.settleVersion(in)
		t.settlePreemption(in)
	}
	t.splitFamilies()
	t.settleHAProxy()
	t.settleTracking()
	t.settleAnnounce()
	t.settleInterface()
	t.settleVIPs()
	t.settleRouters()
	t.settlePeers()
	t.settleWeights()
	t.settleSync()
	t.settleGroups()
	t.settleUsers()
	t.settleNotes()
}

// settleNotes puts the notes into the order of the input, those of no
// particular line first.
func (t *translator) settleNotes() {
	sort := func(n notes) {
		slices.SortStableFunc(n, func(a, b note) int {
			return cmp.Or(cmp.Compare(t.order[a.at.file], t.order[b.at.file]), cmp.Compare(a.at.line, b.at.line))
		})
	}
	sort(t.doc.notes)
	sort(t.doc.announce.notes)
	for _, in := range t.doc.instances {
		sort(in.notes)
	}
	for _, g := range t.doc.groups {
		sort(g.notes)
	}
	for _, s := range t.doc.scripts {
		sort(s.notes)
	}
	if t.doc.haproxy != nil {
		sort(t.doc.haproxy.notes)
	}
	if t.doc.sync != nil {
		sort(t.doc.sync.notes)
	}
}

// settleInterface moves the interface that most instances share to the top.
func (t *translator) settleInterface() {
	count := map[string]int{}
	for _, in := range t.doc.instances {
		if in.iface == "" {
			in.iface = t.defaultIface
		}
		if in.iface == "" {
			t.incomplete(in.at, &in.notes, "vrrp_instance %s names no interface; add one", in.name)
			t.unfinished[t.start()] = true // interface at the top is missed there
			continue
		}
		count[in.iface]++
	}
	for _, in := range t.doc.instances {
		if count[in.iface] > count[t.doc.iface] {
			t.doc.iface = in.iface
		}
	}
	for _, in := range t.doc.instances {
		if in.iface == t.doc.iface {
			in.iface = ""
		}
		own := in.iface
		if own == "" {
			own = t.doc.iface
		}
		for i := range in.vips {
			t.settleVIP(in, &in.vips[i], own)
		}
	}
}

// settleVIP drops what the instance's interface implies, and labels that the
// kernel or hafast would refuse.
func (t *translator) settleVIP(in *instance, v *vip, own string) {
	if v.iface == own {
		v.iface = ""
	}
	device := v.iface
	if device == "" {
		device = own
	}
	switch {
	case v.label == "":
	case v.prefix.Addr().Is6():
		t.warn(in.at, &in.notes, "vrrp_instance %s: %s: IPv6 addresses have no label; left out %s", in.name, v.prefix, quote(v.label))
		v.label = ""
	case !fitLabel(v.label, device):
		t.warn(in.at, &in.notes, "vrrp_instance %s: %s: label %s does not begin with %s, or has more than %d bytes; left out", in.name, v.prefix, quote(clip(v.label)), device, maxDevice)
		v.label = ""
	}
}

// settleUsers says as whom commands run that name no user.
func (t *translator) settleUsers() {
	lacks := func(n notifications) bool { return !n.empty() && n.user == "" }
	if slices.ContainsFunc(t.doc.scripts, func(s *script) bool { return s.user == "" }) ||
		slices.ContainsFunc(t.doc.instances, func(in *instance) bool { return lacks(in.notify) }) ||
		slices.ContainsFunc(t.doc.groups, func(g *group) bool { return lacks(g.notify) }) {
		t.doc.notes.add("Commands without a user: keepalived runs them as keepalived_script where that user exists, hafast as its own user. Add user: to choose.")
	}
}
