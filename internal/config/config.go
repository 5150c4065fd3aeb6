// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"time"
)

// Config is one host's whole configuration, every default filled in.
type Config struct {
	// Node names this host in status, events and metrics. Default: the host name.
	Node string
	// Interface is where VRRP runs and the VIPs live, unless an instance or
	// a VIP names another.
	Interface string
	// Peers are the other hosts' own addresses. Unicast adverts go to them.
	Peers []netip.Addr
	// Instances are the virtual routers this host takes part in.
	Instances []Instance
	// SyncGroups name instances that change state together.
	SyncGroups []SyncGroup
	// HAProxy says how the local haproxy is watched.
	HAProxy HAProxy
	// Scripts are health checks that instances refer to by name.
	Scripts []Script
	// Announce paces gratuitous ARP and unsolicited neighbour advertisements.
	Announce Announce
	// Nice is the daemon's scheduling priority, -20 (first) to 19, as of nice(1).
	// Default -20.
	Nice int
	// Log selects level (debug, info, warn, error) and format (text, json).
	Log Log
	// Metrics is the Prometheus endpoint.
	Metrics Metrics
	// Control is the socket of the client commands.
	Control Control
	// StateDir holds what must outlive the daemon: the sysctl values to put back.
	StateDir string

	// Services are the VIP ports to steer; empty means auto.
	Services []Service
	// Balance is shared or local.
	Balance string
	// Liveness paces S-BFD.
	Liveness Liveness
	// Sync configures the replication of flow state.
	Sync Sync
	// XDP is auto, native, generic or off.
	XDP string
	// Flows is how many TCP flows per family the flow table holds.
	Flows int
	// BPFDir is where programs and maps are pinned.
	BPFDir string

	// Places tells where in the file each key stands.
	Places Places
}

// Place is a line of a configuration file and the key that stands there.
type Place struct {
	File string
	Line int
	Key  string
}

// Instance is one VRRP virtual router.
type Instance struct {
	Name string
	// VRID is the virtual router identifier, 1-255, unique per interface and family.
	VRID uint8
	// Priority is 1-255; 255 is the address owner (RFC 9568 section 6.1). Default 100.
	Priority uint8
	// VIPs are the virtual addresses, all of one family.
	VIPs []VIP
	// Interface defaults to Config.Interface.
	Interface string
	// Version is 2 or 3. Default 3.
	Version int
	// AdvertInterval is 10 ms to 40.95 s in steps of 10 ms for version 3, whole
	// seconds from 1 s to 255 s for version 2. Default 1 s.
	AdvertInterval time.Duration
	// Preempt lets this host take over from an Active of lower priority. Default true.
	Preempt bool
	// PreemptDelay holds preemption back for so long after start-up or
	// recovery. Default 0.
	PreemptDelay time.Duration
	// Unicast sends adverts to Peers instead of the multicast group.
	Unicast bool
	// Peers defaults to those of Config.Peers that are of the instance's family.
	Peers []netip.Addr
	// Source is the address adverts are sent from; the zero Addr means the
	// interface's primary IPv4 address, or its IPv6 link-local address.
	Source netip.Addr
	// Checksum is legacy (with pseudo-header over IPv4, as keepalived sends) or
	// rfc9568. Only IPv4 version 3 differs; both are accepted.
	Checksum string
	// Accept lets local processes serve the VIP while this host is Active
	// without being the address owner (RFC 9568 section 6.1 Accept_Mode). Default true.
	Accept bool
	// VirtualMAC sends from, and answers with, 00:00:5e:00:01|02:VRID (RFC 9568
	// section 7.3). Default false.
	VirtualMAC bool
	// Password is the plain text authentication of version 2, at most 8
	// bytes; empty means none.
	Password string
	Track    Track
	Routes   []Route
	Notify   Notify
	// Place is where the instance stands in its file.
	Place Place
}

// VIP is one virtual address.
type VIP struct {
	// Prefix is the address with its length; /32 or /128 where the file names none.
	Prefix netip.Prefix
	// Interface defaults to the instance's.
	Interface string
	// Label is the IPv4 address label, such as eth0:1.
	Label string
	// Advertise is false for addresses that move with the instance without being
	// listed in its adverts. Default true.
	Advertise bool
}

// Track names what else an instance's priority depends on.
type Track struct {
	// Scripts refer to Config.Scripts.
	Scripts []TrackScript
	// Interfaces must be up.
	Interfaces []TrackInterface
	// Files hold a number that is added to the priority.
	Files []TrackFile
	// Processes must run.
	Processes []TrackProcess
}

// TrackScript ties an instance to a script.
type TrackScript struct {
	Name string
	// Weight overrides the script's own when it is set.
	Weight *int
}

// TrackInterface ties an instance to another interface. Weight 0 means fault while it is down.
type TrackInterface struct {
	Name   string
	Weight int
}

// TrackFile ties an instance to a number in a file: number x Weight is added to
// the priority. Weight defaults to 1.
type TrackFile struct {
	Path   string
	Weight int
}

// TrackProcess ties an instance to a process by its name (/proc/PID/comm).
// Weight 0 means out of service while none runs.
type TrackProcess struct {
	Name   string
	Weight int
}

// Route is installed while the instance is Active.
type Route struct {
	// To is the destination; the zero Prefix never occurs ("default" is 0.0.0.0/0 or ::/0).
	To        netip.Prefix
	Via       netip.Addr
	Source    netip.Addr
	Interface string
	Metric    int
	// Table is the routing table's number; 0 means main.
	Table int
}

// Notify holds commands that are run at transitions. Any is run after the
// state's own, with the arguments INSTANCE|GROUP, name, MASTER|BACKUP|FAULT|STOP,
// priority: keepalived's words, so that its scripts can be used as they are.
type Notify struct {
	Active, Backup, Fault, Stop, Any string
	// User runs the commands as that user; empty means the daemon's own.
	User string
}

// SyncGroup names instances that change state together.
type SyncGroup struct {
	Name      string
	Instances []string
	Notify    Notify
	Place     Place
}

// The values of HAProxy.Mode.
const (
	HAProxyOn   = "on"
	HAProxyOff  = "off"
	HAProxyAuto = "auto"
)

// HAProxy says how the local haproxy is watched.
type HAProxy struct {
	// Mode is on, off or auto. Auto (no haproxy section in the file) watches
	// the default pidfile once it has been seen and until then asks for nothing.
	Mode string
	// Pidfile is haproxy's own. Default /var/run/haproxy.pid.
	Pidfile string
	// Weight is added to the priority while haproxy is healthy. 0, the default:
	// without haproxy the host is out of service.
	Weight int
	// Socket is haproxy's stats socket; empty means no deep check.
	Socket string
	// Interval, Timeout, Rise and Fall pace the deep check. Defaults 1s, 1s, 1, 3.
	Interval, Timeout time.Duration
	Rise, Fall        int
}

// Script is a health check run every Interval; exit status 0 is success.
type Script struct {
	Name    string
	Command string
	// Interval and Timeout default to 1 s and to Interval.
	Interval, Timeout time.Duration
	// Rise and Fall are how many results in a row change the state. Default 1.
	Rise, Fall int
	// Weight: positive is added on success, negative on failure; 0 means
	// out of service on failure.
	Weight int
	// User runs the command as that user; empty means the daemon's own.
	User  string
	Place Place
}

// Announce paces gratuitous ARP and unsolicited NA after a takeover.
type Announce struct {
	// Count is how many times each address is announced at once. Default 3.
	Count int
	// Interval is the pause between those. Default 20 ms.
	Interval time.Duration
	// RepeatDelay is when the burst is repeated; 0 means never. Default 5 s.
	RepeatDelay time.Duration
	// Refresh announces once every so often while Active; 0 means never. Default 1 m.
	Refresh time.Duration
}

// Log selects what is logged to standard error.
type Log struct{ Level, Format string }

// Metrics is the Prometheus endpoint; an empty Listen turns it off.
type Metrics struct{ Listen string }

// Control is the socket of the client commands.
type Control struct{ Socket string }

// Service is a VIP port that is steered.
type Service struct {
	VIP   netip.Addr
	Port  uint16
	Proto string
}

// Liveness paces S-BFD (RFC 7880).
type Liveness struct {
	Interval   time.Duration
	Multiplier int
	Witness    Witness
	// Lease is how long the VIPs are answered for after this host's daemon has stood still.
	Lease time.Duration
}

// Witness is who proves by answering ARP that this host's receiving works. The zero
// value is nobody.
type Witness struct {
	// Gateway stands for the default gateway, if it is on the VRRP interface.
	Gateway bool
	// Addr is an IPv4 address, or the zero Addr.
	Addr netip.Addr
}
