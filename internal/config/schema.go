// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"time"
)

// Key is one row of the configuration's reference.
type Key struct {
	// Path is where the key stands: "instances[].vips[].address".
	Path string
	// Type is the sort of value, in words.
	Type string
	// Default is the value of an absent key: as it would be written when Literal
	// is set, in words otherwise, and "" for nothing at all.
	Default string
	Literal bool
	// Unit of a number, "" where it has none.
	Unit string
	// Doc says what the key does.
	Doc string
}

// Schema returns every key that a configuration may have, sections before what is in them.
func Schema() []Key { return rows(configFields()) }

// rows lists the fields of a section and all keys below them.
func rows[T any](fields []field[T]) []Key {
	var keys []Key
	for _, f := range fields {
		keys = append(keys, f.Key)
		keys = append(keys, prefixed(f.Path, f.below)...)
	}
	return keys
}

// prefixed puts a path before each key.
func prefixed(path string, keys []Key) []Key {
	out := make([]Key, len(keys))
	for i, key := range keys {
		out[i] = key
		switch {
		case path == "[]" && key.Path[0] != '[':
			out[i].Path = "[]." + key.Path
		case key.Path[0] == '[':
			out[i].Path = path + key.Path
		default:
			out[i].Path = path + "." + key.Path
		}
	}
	return out
}

const (
	forever = 24 * time.Hour
	// maxWeight lets a weight move a priority from one end to the other.
	maxWeight = 253
)

func configFields() []field[Config] {
	haproxy := section(haproxyFields())
	off := haproxy.initial()
	off.Mode = HAProxyOff
	on := func(h HAProxy) HAProxy { h.Mode = HAProxyOn; return h }
	watched := orWord("off", off, convert(haproxy, on))
	watched.initial = func() HAProxy { h := haproxy.initial(); h.Mode = HAProxyAuto; return h }
	metrics := section(metricsFields())
	endpoint := orWord("off", Metrics{}, metrics)

	return []field[Config]{
		derived("node", name(), "the host name", "Names this host in status, events and metrics.", func(c *Config) *string { return &c.Node }),
		derived("interface", device(), "required, unless every instance has one", "Where VRRP runs and the VIPs live.", func(c *Config) *string { return &c.Interface }),
		none("peers", list(address()), "The other hosts' own addresses. Unicast adverts go to them.", func(c *Config) *[]netip.Addr { return &c.Peers }),
		required("instances", list(section(instanceFields())), "The virtual routers this host takes part in.", func(c *Config) *[]Instance { return &c.Instances }),
		none("sync_groups", list(section(syncGroupFields())), "Instances that change state together.", func(c *Config) *[]SyncGroup { return &c.SyncGroups }),
		derived("haproxy", watched, "watches the default pidfile once it has been seen", "How the local haproxy is watched; `off` asks nothing of it.", func(c *Config) *HAProxy { return &c.HAProxy }),
		none("scripts", list(section(scriptFields())), "Health checks that instances refer to by name.", func(c *Config) *[]Script { return &c.Scripts }),
		none("announce", section(announceFields()), "The pace of gratuitous ARP and unsolicited neighbour advertisements.", func(c *Config) *Announce { return &c.Announce }),
		optional("nice", integer[int](-20, 19), "-20", "The daemon's scheduling priority, as of nice(1): -20 goes first.", func(c *Config) *int { return &c.Nice }),
		none("log", section(logFields()), "What is written to standard error.", func(c *Config) *Log { return &c.Log }),
		none("metrics", endpoint, "The Prometheus endpoint; `off` has none.", func(c *Config) *Metrics { return &c.Metrics }),
		none("control", section(controlFields()), "The socket of the client commands.", func(c *Config) *Control { return &c.Control }),
		optional("state_dir", path(), "/run/hafast", "Holds what must outlive the daemon: the sysctl values to put back.", func(c *Config) *string { return &c.StateDir }),

		optional("services", orWord("auto", nil, list(section(serviceFields()))), "auto", "The VIP ports to steer; `auto` takes those haproxy listens on.", func(c *Config) *[]Service { return &c.Services }),
		derived("balance", oneOf("shared", "local"), "`shared` with peers, else `local`", "Spreads new flows over all healthy haproxies, or keeps them on the Active host.", func(c *Config) *string { return &c.Balance }),
		none("liveness", section(livenessFields()), "The pace of S-BFD between the hosts.", func(c *Config) *Liveness { return &c.Liveness }),
		derived("sync", section(syncFields()), "off", "Replication of flow state between the hosts.", func(c *Config) *Sync { return &c.Sync }),
		optional("xdp", oneOf("auto", "native", "generic", "off"), "auto", "How the data path attaches to the interfaces: in the driver, in the kernel's generic way, or as the interface allows; `off` leaves a plain VRRP daemon.", func(c *Config) *string { return &c.XDP }),
		optional("flows", integer[int](4096, 1<<24).in("flows"), "262144", "How many TCP connections per address family the flow table holds before it forgets the least recently used; UDP has a quarter of it, and no table fewer than 512 for each possible processor. 262144 take about 70 MB.", func(c *Config) *int { return &c.Flows }),
		optional("bpf_dir", path(), "/sys/fs/bpf/hafast", "Where programs and maps are pinned.", func(c *Config) *string { return &c.BPFDir }),
	}
}

func instanceFields() []field[Instance] {
	pass := convert(section(authFields()), func(a auth) string { return a.password })
	return []field[Instance]{
		derived("name", name(), "`VI_` and the vrid", "Names the instance in status, events, metrics and notify commands.", func(i *Instance) *string { return &i.Name }),
		required("vrid", integer[uint8](1, 255), "The virtual router identifier, the same on all hosts; unique per interface and address family.", func(i *Instance) *uint8 { return &i.VRID }),
		optional("priority", integer[uint8](1, 255).in("points"), "100", "The highest one becomes Active. 255 is for the host that owns the address (RFC 9568 section 6.1).", func(i *Instance) *uint8 { return &i.Priority }),
		required("vips", list(short("address", section(vipFields()))), "The virtual addresses, all IPv4 or all IPv6. An element is an address or a section. IPv6 instances without a link-local one get fe80::200:5eff:fe00:2XX, XX being the vrid.", func(i *Instance) *[]VIP { return &i.VIPs }),
		derived("interface", device(), "`interface` at the top", "Where this instance runs.", func(i *Instance) *string { return &i.Interface }),
		optional("version", integer[int](2, 3), "3", "The VRRP version. 2 is IPv4 only and for peers that speak nothing newer.", func(i *Instance) *int { return &i.Version }),
		optional("advert_interval", duration(10*time.Millisecond, 255*time.Second), "1s", "The pause between adverts. Version 3: 10ms to 40.95s in steps of 10ms; version 2: 1s to 255s in whole seconds.", func(i *Instance) *time.Duration { return &i.AdvertInterval }),
		optional("preempt", boolean(), "true", "Takes over from an Active of lower priority.", func(i *Instance) *bool { return &i.Preempt }),
		optional("preempt_delay", duration(0, forever), "0s", "Holds preemption back for so long after start-up or recovery.", func(i *Instance) *time.Duration { return &i.PreemptDelay }),
		optional("unicast", boolean(), "false", "Sends adverts to the peers instead of the multicast group.", func(i *Instance) *bool { return &i.Unicast }),
		derived("peers", list(address()), "those of `peers` at the top that are of the VIPs' family", "The other hosts' own addresses for this instance.", func(i *Instance) *[]netip.Addr { return &i.Peers }),
		derived("source", address(), "the interface's primary IPv4 or its IPv6 link-local address", "The address adverts are sent from.", func(i *Instance) *netip.Addr { return &i.Source }),
		optional("checksum", oneOf("legacy", "rfc9568"), "legacy", "What is sent over IPv4 in version 3: with keepalived's pseudo-header or without; both are accepted.", func(i *Instance) *string { return &i.Checksum }),
		optional("accept", boolean(), "true", "Lets local processes serve the VIP while this host is Active (Accept_Mode of RFC 9568 section 6.1).", func(i *Instance) *bool { return &i.Accept }),
		optional("virtual_mac", boolean(), "false", "Sends from, and answers with, 00:00:5e:00:01:VRID or 00:00:5e:00:02:VRID (RFC 9568 section 7.3).", func(i *Instance) *bool { return &i.VirtualMAC }),
		none("auth", pass, "Plain text authentication of version 2.", func(i *Instance) *string { return &i.Password }),
		none("track", section(trackFields()), "What else the priority depends on.", func(i *Instance) *Track { return &i.Track }),
		none("routes", list(section(routeFields())), "Routes that are installed while this host is Active.", func(i *Instance) *[]Route { return &i.Routes }),
		none("notify", section(notifyFields()), "Commands run when this instance changes state.", func(i *Instance) *Notify { return &i.Notify }),
	}
}

// auth exists in the file alone; an Instance has the password.
type auth struct{ kind, password string }

func authFields() []field[auth] {
	return []field[auth]{
		optional("type", oneOf("pass"), "pass", "The only type there is.", func(a *auth) *string { return &a.kind }),
		required("password", password(), "Sent in clear with each advert: a guard against mistakes, not against attackers.", func(a *auth) *string { return &a.password }),
	}
}

func vipFields() []field[VIP] {
	return []field[VIP]{
		required("address", vip(), "The address; its length is /32 or /128 where none is given.", func(v *VIP) *netip.Prefix { return &v.Prefix }),
		derived("interface", device(), "the instance's", "Where this address lives.", func(v *VIP) *string { return &v.Interface }),
		none("label", text("a label, such as eth0:1"), "The IPv4 address label; it starts with the interface's name.", func(v *VIP) *string { return &v.Label }),
		optional("advertise", boolean(), "true", "False for an address that moves with the instance without being listed in its adverts.", func(v *VIP) *bool { return &v.Advertise }),
	}
}

func weight() kind[int] { return integer[int](-maxWeight, maxWeight).in("points") }

func trackFields() []field[Track] {
	return []field[Track]{
		none("scripts", list(short("name", section(trackScriptFields()))), "Scripts of `scripts`, by name or as a section.", func(t *Track) *[]TrackScript { return &t.Scripts }),
		none("interfaces", list(short("name", section(trackInterfaceFields()))), "Interfaces that must be up, by name or as a section.", func(t *Track) *[]TrackInterface { return &t.Interfaces }),
		none("files", list(short("path", section(trackFileFields()))), "Files that hold a number to add to the priority, by path or as a section.", func(t *Track) *[]TrackFile { return &t.Files }),
		none("processes", list(short("name", section(trackProcessFields()))), "Processes that must run, by name or as a section.", func(t *Track) *[]TrackProcess { return &t.Processes }),
	}
}

func trackScriptFields() []field[TrackScript] {
	own := convert(weight(), func(w int) *int { return &w })
	return []field[TrackScript]{
		required("name", name(), "The script's name.", func(t *TrackScript) *string { return &t.Name }),
		derived("weight", own, "the script's own", "Overrides the script's weight for this instance.", func(t *TrackScript) **int { return &t.Weight }),
	}
}

func trackInterfaceFields() []field[TrackInterface] {
	return []field[TrackInterface]{
		required("name", device(), "The interface.", func(t *TrackInterface) *string { return &t.Name }),
		optional("weight", weight(), "0", "Added while up if positive, while down if negative; with 0 the instance is in fault while it is down.", func(t *TrackInterface) *int { return &t.Weight }),
	}
}

func trackFileFields() []field[TrackFile] {
	return []field[TrackFile]{
		required("path", path(), "The file; a missing or empty one counts as 0.", func(t *TrackFile) *string { return &t.Path }),
		optional("weight", weight(), "1", "What the number is multiplied with before it is added.", func(t *TrackFile) *int { return &t.Weight }),
	}
}

func trackProcessFields() []field[TrackProcess] {
	return []field[TrackProcess]{
		required("name", text("a process name, as in /proc/PID/comm"), "The name as in /proc/PID/comm.", func(t *TrackProcess) *string { return &t.Name }),
		optional("weight", weight(), "0", "Added while it runs if positive, while none runs if negative; with 0 this host is out of service while none runs.", func(t *TrackProcess) *int { return &t.Weight }),
	}
}

func routeFields() []field[Route] {
	return []field[Route]{
		required("to", destination(), "The destination; `default` is 0.0.0.0/0 or ::/0.", func(r *Route) *netip.Prefix { return &r.To }),
		none("via", address(), "The gateway.", func(r *Route) *netip.Addr { return &r.Via }),
		none("source", address(), "The preferred source address.", func(r *Route) *netip.Addr { return &r.Source }),
		derived("interface", device(), "the instance's", "The outgoing interface.", func(r *Route) *string { return &r.Interface }),
		optional("metric", integer[int](0, 1<<31-1), "0", "The kernel prefers the route with the lowest; 0 leaves the choice to it.", func(r *Route) *int { return &r.Metric }),
		optional("table", integer[int](0, 1<<31-1), "0", "The routing table's number; 0 is main.", func(r *Route) *int { return &r.Table }),
	}
}

func notifyFields() []field[Notify] {
	return []field[Notify]{
		none("active", command(), "Run on becoming Active.", func(n *Notify) *string { return &n.Active }),
		none("backup", command(), "Run on becoming Backup.", func(n *Notify) *string { return &n.Backup }),
		none("fault", command(), "Run on entering fault.", func(n *Notify) *string { return &n.Fault }),
		none("stop", command(), "Run when the daemon stops.", func(n *Notify) *string { return &n.Stop }),
		none("any", command(), "Run on each of these, after the one above.", func(n *Notify) *string { return &n.Any }),
		derived("user", account(), "the daemon's own", "Runs the commands as this user, or user:group.", func(n *Notify) *string { return &n.User }),
	}
}

func syncGroupFields() []field[SyncGroup] {
	return []field[SyncGroup]{
		required("name", name(), "Names the group in events and notify commands.", func(g *SyncGroup) *string { return &g.Name }),
		required("instances", list(name()), "The instances, by name. Each is in one group at most.", func(g *SyncGroup) *[]string { return &g.Instances }),
		none("notify", section(notifyFields()), "Commands run when the group changes state.", func(g *SyncGroup) *Notify { return &g.Notify }),
	}
}

func haproxyFields() []field[HAProxy] {
	return []field[HAProxy]{
		optional("pidfile", path(), "/var/run/haproxy.pid", "haproxy's own pidfile.", func(h *HAProxy) *string { return &h.Pidfile }),
		optional("weight", weight(), "0", "Added to the priority while haproxy is healthy; with 0 this host is out of service without it.", func(h *HAProxy) *int { return &h.Weight }),
		none("socket", socket(), "haproxy's stats socket. Set, it is asked now and then whether haproxy still answers.", func(h *HAProxy) *string { return &h.Socket }),
		optional("interval", duration(10*time.Millisecond, time.Hour), "1s", "The pause between two such questions.", func(h *HAProxy) *time.Duration { return &h.Interval }),
		optional("timeout", duration(time.Millisecond, time.Hour), "1s", "How long an answer may take.", func(h *HAProxy) *time.Duration { return &h.Timeout }),
		optional("rise", integer[int](1, 1000).in("answers"), "1", "So many in a row make it healthy.", func(h *HAProxy) *int { return &h.Rise }),
		optional("fall", integer[int](1, 1000).in("answers"), "3", "So many missing in a row make it unhealthy.", func(h *HAProxy) *int { return &h.Fall }),
	}
}

func scriptFields() []field[Script] {
	return []field[Script]{
		required("name", name(), "What instances refer to.", func(s *Script) *string { return &s.Name }),
		required("command", command(), "The command line; exit status 0 is success.", func(s *Script) *string { return &s.Command }),
		optional("interval", duration(10*time.Millisecond, forever), "1s", "The pause between two runs.", func(s *Script) *time.Duration { return &s.Interval }),
		derived("timeout", duration(time.Millisecond, forever), "`interval`", "A run that takes longer is ended and counts as a failure.", func(s *Script) *time.Duration { return &s.Timeout }),
		optional("rise", integer[int](1, 1000).in("runs"), "1", "So many successes in a row make it good.", func(s *Script) *int { return &s.Rise }),
		optional("fall", integer[int](1, 1000).in("runs"), "1", "So many failures in a row make it bad.", func(s *Script) *int { return &s.Fall }),
		optional("weight", weight(), "0", "Added on success if positive, on failure if negative; with 0 this host is out of service on failure.", func(s *Script) *int { return &s.Weight }),
		derived("user", account(), "the daemon's own", "Runs the command as this user, or user:group.", func(s *Script) *string { return &s.User }),
	}
}

func announceFields() []field[Announce] {
	return []field[Announce]{
		optional("count", integer[int](1, 100).in("packets"), "3", "How many times each address is announced at once.", func(a *Announce) *int { return &a.Count }),
		optional("interval", duration(0, 10*time.Second), "20ms", "The pause between those.", func(a *Announce) *time.Duration { return &a.Interval }),
		optional("repeat_delay", duration(0, forever), "5s", "When the burst is repeated once; 0s means never.", func(a *Announce) *time.Duration { return &a.RepeatDelay }),
		optional("refresh", duration(0, forever), "1m", "How often each address is announced anew while Active; 0s means never.", func(a *Announce) *time.Duration { return &a.Refresh }),
	}
}

func logFields() []field[Log] {
	return []field[Log]{
		optional("level", oneOf("debug", "info", "warn", "error"), "info", "The least important message that is still written.", func(l *Log) *string { return &l.Level }),
		optional("format", oneOf("text", "json"), "text", "key=value lines, or one JSON object per line.", func(l *Log) *string { return &l.Format }),
	}
}

func metricsFields() []field[Metrics] {
	return []field[Metrics]{
		optional("listen", listen(), "127.0.0.1:9405", "The endpoint's address and port; the empty text turns it off.", func(m *Metrics) *string { return &m.Listen }),
	}
}

func controlFields() []field[Control] {
	return []field[Control]{
		optional("socket", socket(), "/run/hafast/hafast.sock", "The unix socket.", func(c *Control) *string { return &c.Socket }),
	}
}

func serviceFields() []field[Service] {
	return []field[Service]{
		required("vip", address(), "One of the VIPs.", func(s *Service) *netip.Addr { return &s.VIP }),
		required("port", integer[uint16](1, 65535), "The port.", func(s *Service) *uint16 { return &s.Port }),
		optional("proto", oneOf("tcp", "udp"), "tcp", "The protocol.", func(s *Service) *string { return &s.Proto }),
	}
}

func livenessFields() []field[Liveness] {
	return []field[Liveness]{
		optional("interval", duration(time.Millisecond, 10*time.Second), "2ms", "The pause between probes.", func(l *Liveness) *time.Duration { return &l.Interval }),
		optional("multiplier", integer[int](2, 255).in("probes"), "3", "So many unanswered in a row make a host suspect.", func(l *Liveness) *int { return &l.Multiplier }),
		optional("witness", witness(), "auto", "Who is asked by ARP whether this host's own receiving works, before it takes over from a host that answers no more: the default gateway, an address on the same network, or nobody.", func(l *Liveness) *Witness { return &l.Witness }),
		optional("lease", duration(100*time.Millisecond, 3*time.Second), "100ms", "How long a host whose daemon stands still, or is gone, goes on answering for its VIPs. Longer where processors are taken away for so long that hosts that live lose them: `lapse` in the events.", func(l *Liveness) *time.Duration { return &l.Lease }),
	}
}
