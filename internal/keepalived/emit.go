// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"slices"
	"strings"
	"time"
)

// hafast's own defaults, which need not be said.
const (
	defaultInterval    = time.Second
	defaultCount       = 3
	defaultPause       = 20 * time.Millisecond
	defaultRepeatDelay = 5 * time.Second
	defaultRefresh     = time.Minute
)

// emit writes the document as hafast.yaml and returns, for each of its lines,
// the line of the input that it stems from.
func emit(d *document) (data []byte, origins []place) {
	var w yamlWriter
	w.comment(0, "Imported from "+strings.Join(d.sources, ", ")+" by hafast import.")
	announcing := d.announce.yaml()
	above := d.notes
	if len(announcing) == 0 {
		above = slices.Concat(above, d.announce.notes)
	}
	if len(above) > 0 {
		w.write("#\n")
		w.comments(0, above)
	}
	var top yamlMap
	if d.node != "" {
		top.add("node", text(d.node))
	}
	if d.iface != "" {
		top.add("interface", text(d.iface))
	}
	if len(d.peers) > 0 {
		top.add("peers", peersYAML(d.peers))
		top[len(top)-1].at = d.peers[0].at
	} else if len(d.instances) > 0 {
		top = append(top, yamlEntry{above: notes{{text: "peers: [address of the other host]"}}})
	}
	if len(top) > 0 {
		top[0].gap = true
	}
	if len(d.instances) > 0 {
		var list yamlList
		old := false // has version 2 been explained?
		for _, in := range d.instances {
			list = append(list, yamlItem{at: in.at, above: in.notes, value: in.yaml(!old)})
			old = old || in.version == 2
		}
		top.section("instances", list)
		top[len(top)-1].above = d.instanceNotes
	}
	if len(d.groups) > 0 {
		var list yamlList
		for _, g := range d.groups {
			list = append(list, yamlItem{at: g.at, above: g.notes, value: g.yaml()})
		}
		top.section("sync_groups", list)
	}
	if d.haproxy != nil {
		top.section("haproxy", d.haproxy.yaml())
		top[len(top)-1].above = d.haproxy.notes
	}
	if len(d.scripts) > 0 {
		var list yamlList
		for _, s := range d.scripts {
			list = append(list, yamlItem{at: s.at, above: s.notes, value: s.yaml()})
		}
		top.section("scripts", list)
	}
	if len(announcing) > 0 {
		top.section("announce", announcing)
		top[len(top)-1].above = d.announce.notes
	}
	if d.sync != nil {
		top.section("sync", d.sync.yaml(len(d.instances) > 0))
		top[len(top)-1].above = d.sync.notes
	}
	w.mapping(0, top)
	if d.keepalived && d.haproxy == nil {
		w.write("\n")
		w.comment(0, "keepalived had no plain check for haproxy. Without a haproxy section hafast watches "+defaultPidfile+" once it has seen it; haproxy: off asks nothing of it.")
	}
	if len(top) == 0 {
		w.write("{}\n") // an empty document would be null
	}
	return []byte(w.out.String()), w.origins
}

func (m *yamlMap) add(key string, value any) { *m = append(*m, yamlEntry{key: key, value: value}) }

// section adds a key with an empty line before it.
func (m *yamlMap) section(key string, value any) {
	*m = append(*m, yamlEntry{key: key, value: value, gap: true})
}

// yaml is the instance's section, with a word on version 2 if asked for.
func (in *instance) yaml(explain bool) yamlMap {
	var m yamlMap
	m.add("name", text(fitName(in.name)))
	if in.vrid != 0 {
		m.add("vrid", number(in.vrid))
		m[len(m)-1].at = in.vridAt
	}
	m.add("priority", number(in.priority))
	m.add("version", number(in.version))
	if in.version == 2 && explain {
		m[len(m)-1].after = "what the keepalived peer speaks; 3 once all hosts run hafast"
	}
	if in.iface != "" {
		m.add("interface", text(in.iface))
	}
	if in.advert != defaultInterval {
		m.add("advert_interval", duration(in.advert))
	}
	if !in.preempt {
		m.add("preempt", boolean(false))
	}
	if in.preemptDelay != 0 {
		m.add("preempt_delay", duration(in.preemptDelay))
	}
	if in.unicast {
		m.add("unicast", boolean(true))
	}
	if in.ownPeers {
		m.add("peers", peersYAML(in.peers))
		m[len(m)-1].at = in.peers[0].at
	}
	if len(in.sources) > 0 {
		m.add("source", address(in.sources[0].Addr))
		m[len(m)-1].at = in.sources[0].at
	}
	if in.checksumAsV2 && in.version == 3 && !in.ipv6() {
		m.add("checksum", scalar("rfc9568"))
	}
	if !in.accept {
		m.add("accept", boolean(false))
	}
	if in.virtualMAC {
		m.add("virtual_mac", boolean(true))
	}
	if in.auth.password != "" {
		m.add("auth", flowMap(yamlMap{{key: "type", value: scalar("pass")}, {key: "password", value: text(in.auth.password)}}))
	}
	m.add("vips", vipsYAML(in.vips))
	if track := in.track.yaml(); len(track) > 0 {
		m.add("track", track)
	}
	if len(in.routes) > 0 {
		var list yamlList
		for _, r := range in.routes {
			item := yamlItem{at: r.at, value: r.yaml()}
			if r.iface == "" && r.via.IsValid() {
				item.above.add("names no interface: keepalived let the kernel choose, hafast takes the instance's")
			}
			list = append(list, item)
		}
		m.add("routes", list)
	}
	if !in.notify.empty() {
		m.add("notify", in.notify.yaml())
	}
	return m
}

// vipsYAML is a line for one plain address, a list for several.
func vipsYAML(vips []vip) any {
	var list yamlList
	for _, v := range vips {
		var value any = prefix(v.prefix)
		m := yamlMap{{key: "address", value: value}}
		if v.iface != "" {
			m.add("interface", text(v.iface))
		}
		if v.label != "" {
			m.add("label", text(v.label))
		}
		if v.excluded {
			m.add("advertise", boolean(false))
		}
		if len(m) > 1 {
			value = flowMap(m)
		}
		list = append(list, yamlItem{at: v.at, value: value})
	}
	if len(list) < 2 {
		return flowList(list, func(item yamlItem) scalar { return item.value.(scalar) })
	}
	return list
}

func peersYAML(peers []addrAt) scalar {
	return flowList(peers, func(a addrAt) scalar { return address(a.Addr) })
}

func (r route) yaml() scalar {
	to := prefix(r.to)
	if r.to.Bits() == 0 {
		to = scalar(`"` + r.to.String() + `"`)
		if r.via.IsValid() {
			to = "default"
		}
	}
	m := yamlMap{{key: "to", value: to}}
	if r.via.IsValid() {
		m.add("via", address(r.via))
	}
	if r.source.IsValid() {
		m.add("source", address(r.source))
	}
	if r.iface != "" {
		m.add("interface", text(r.iface))
	}
	if r.metric != 0 {
		m.add("metric", number(r.metric))
	}
	if r.table != 0 {
		m.add("table", number(r.table))
	}
	return flowMap(m)
}

func (t tracking) yaml() yamlMap {
	var m yamlMap
	add := func(key, name string, refs []trackRef) {
		if len(refs) == 0 {
			return
		}
		var list yamlList
		for _, ref := range refs {
			value := text(ref.name)
			if *ref.weight != ref.implied {
				value = flowMap(yamlMap{{key: name, value: value}, {key: "weight", value: number(*ref.weight)}})
			}
			list = append(list, yamlItem{at: ref.at, value: value})
		}
		m.add(key, list)
	}
	add("scripts", "name", t.scripts)
	add("interfaces", "name", t.interfaces)
	add("files", "path", t.files)
	add("processes", "name", t.processes)
	return m
}

func (n notifications) yaml() yamlMap {
	var m yamlMap
	for _, c := range []struct{ key, line string }{
		{"active", n.active}, {"backup", n.backup}, {"fault", n.fault}, {"stop", n.stop}, {"any", n.any}, {"user", n.user},
	} {
		if c.line != "" {
			m.add(c.key, text(c.line))
		}
	}
	return m
}

func (g *group) yaml() yamlMap {
	m := yamlMap{
		{key: "name", value: text(fitName(g.name))},
		{key: "instances", value: flowList(g.members, func(s string) scalar { return text(fitName(s)) })},
	}
	if !g.notify.empty() {
		m.add("notify", g.notify.yaml())
	}
	return m
}

func (h *haproxyCheck) yaml() yamlMap {
	m := yamlMap{{key: "pidfile", value: text(h.pidfile), after: "the one haproxy itself writes: its pidfile setting, or -p"}}
	if h.weight != 0 {
		m.add("weight", number(h.weight))
	}
	return m
}

func (s *script) yaml() yamlMap {
	m := yamlMap{
		{key: "name", value: text(fitName(s.name))},
		{key: "command", value: text(s.command)},
	}
	if s.interval != defaultInterval {
		m.add("interval", duration(s.interval))
	}
	if s.timeout != 0 && s.timeout != s.interval {
		m.add("timeout", duration(s.timeout))
	}
	if s.rise != 1 {
		m.add("rise", number(s.rise))
	}
	if s.fall != 1 {
		m.add("fall", number(s.fall))
	}
	if s.weight != 0 {
		m.add("weight", number(s.weight))
	}
	if s.user != "" {
		m.add("user", text(s.user))
	}
	return m
}

func (a *announce) yaml() yamlMap {
	var m yamlMap
	if a.count != nil && *a.count != defaultCount {
		m.add("count", number(*a.count))
	}
	set := func(key string, v *time.Duration, otherwise time.Duration) {
		if v != nil && *v != otherwise {
			m.add(key, duration(*v))
		}
	}
	set("interval", a.interval, defaultPause)
	set("repeat_delay", a.repeatDelay, defaultRepeatDelay)
	set("refresh", a.refresh, defaultRefresh)
	return m
}

func (s *syncSection) yaml(vipsKnown bool) yamlMap {
	key := notes{{text: "'hafast keygen' prints a key: the same on all hosts, readable by root alone."}}
	m := yamlMap{{above: key, key: "key_file", value: scalar("/etc/hafast/sync.key")}}
	m.add("conntrack", boolean(!s.filter.foreign))
	if s.listen.IsValid() {
		m.add("listen", address(s.listen))
	}
	if len(s.peers) > 0 {
		m.add("peers", flowList(s.peers, address))
	}
	if filter := s.filter.yaml(vipsKnown); len(filter) > 0 && !s.filter.foreign {
		m.add("filter", filter)
	}
	return m
}
