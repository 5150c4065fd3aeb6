// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"net/netip"
	"time"
)

// document is what the YAML will say. It differs from config.Config in that it
// keeps apart what the input said from what is a default, and carries notes.
type document struct {
	sources   []string
	notes     notes // what has no better place in the YAML
	node      string
	iface     string
	peers     []addrAt
	instances []*instance
	// instanceNotes stand above all instances.
	instanceNotes notes
	groups        []*group
	haproxy       *haproxyCheck
	scripts       []*script
	announce      announce
	sync          *syncSection
	keepalived    bool // some source was a keepalived.conf
}

// notes are comment paragraphs above a part of the YAML. A note that comes from
// a line of the input has its place, for the order.
type notes []note

type note struct {
	at   place
	text string
}

func (n *notes) add(text string) { *n = append(*n, note{text: text}) }

// instance is a vrrp_instance.
type instance struct {
	notes        notes
	name         string
	at           place
	vrid         int // 0: not given
	vridAt       place
	priority     int // 0: not given
	version      int // 0: not given
	state        string
	iface        string
	advert       time.Duration
	advertAt     *node
	preempt      bool
	nopreempt    *node
	preemptDelay time.Duration
	delayAt      *node
	unicast      bool
	unicastAt    place
	peers        []addrAt
	ownPeers     bool // emit peers here rather than at the top
	sources      []addrAt
	checksumAsV2 bool // version 3 over IPv4 without the pseudo-header
	accept       bool
	virtualMAC   bool
	auth         auth
	vips         []vip
	track        tracking
	routes       []route
	notify       notifications
	announce     announce
	group        *group
}

// addrAt is an address and the line that names it.
type addrAt struct {
	netip.Addr
	at place
}

// auth is an authentication block.
type auth struct {
	kind     string
	password string
	at       *node
}

// vip is a line of virtual_ipaddress or virtual_ipaddress_excluded.
type vip struct {
	at       place
	prefix   netip.Prefix
	iface    string
	label    string
	excluded bool
}

// route is a line of virtual_routes.
type route struct {
	at     place
	to     netip.Prefix
	via    netip.Addr
	source netip.Addr
	iface  string
	metric int
	table  int
}

// tracking is all that an instance or a group tracks.
type tracking struct {
	scripts    []trackRef
	interfaces []trackRef
	files      []trackRef
	processes  []trackRef
}

// trackRef is a line of a track_ block.
type trackRef struct {
	name    string
	weight  *int // nil: as the definition says
	reverse *bool
	at      place
	// implied is the weight hafast takes when the reference names none.
	implied int
	// fromGroup marks what a member tracks because its group does.
	fromGroup bool
}

// notifications are the notify_ lines of an instance or a group.
type notifications struct {
	active, backup, fault, stop, any string
	user                             string
}

func (n notifications) empty() bool {
	return n.active == "" && n.backup == "" && n.fault == "" && n.stop == "" && n.any == ""
}

// script is a vrrp_script.
type script struct {
	notes             notes
	name              string
	at                place
	command           string
	interval, timeout time.Duration
	rise, fall        int
	weight            int
	reverse           bool
	user              string
	// haproxy is set if the command does no more than look for haproxy.
	haproxy *haproxyProbe
}

// trackFile is a track_file definition, trackProcess a vrrp_track_process.
type (
	trackFile struct {
		path    string
		weight  int
		reverse bool
	}
	trackProcess struct {
		process string
		weight  int
		reverse bool
	}
)

// group is a vrrp_sync_group.
type group struct {
	notes   notes
	name    string
	at      place
	members []string
	track   tracking
	// weights says that members may differ in what their checks weigh.
	weights bool
	notify  notifications
}

// haproxyCheck is the haproxy section.
type haproxyCheck struct {
	notes   notes
	pidfile string
	weight  int
}

// announce is the pace of gratuitous ARP; nil is not given.
type announce struct {
	notes       notes
	count       *int
	interval    *time.Duration
	repeatDelay *time.Duration
	refresh     *time.Duration
}

// syncSection is what conntrackd.conf comes to.
type syncSection struct {
	notes  notes
	listen netip.Addr
	peers  []netip.Addr
	filter syncFilter
}
