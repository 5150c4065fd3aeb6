// SPDX-License-Identifier: Apache-2.0

package control

import "time"

// States of a Target and of a Liveness session.
const (
	StateUp        = "up"
	StateDown      = "down"
	StateDrain     = "drain"
	StateAdminDown = "admin_down"
	StateNone      = "none"
	StateUnknown   = "unknown"
)

// Modes of the XDP program: of an interface, and of the host as a whole.
const (
	ModeNative  = "native"  // in the driver
	ModeGeneric = "generic" // in the stack, for drivers that cannot
	ModeMixed   = "mixed"   // native on some interfaces, generic on others
	ModeOff     = "off"
)

// Target is a haproxy that can serve flows: this host's or a peer's.
type Target struct {
	// Node is the name its host gives itself, empty before it has been heard.
	Node    string `json:"node"`
	Address string `json:"address"`
	// State is StateUp (takes new flows), StateDrain (keeps the flows it has),
	// StateDown or StateUnknown.
	State string `json:"state"`
	// Host is what its host is taken for: unknown, inherited, up, draining, not_serving,
	// suspect (answers no probes: its VIPs have moved, its flows have not), daemon_stopped,
	// silent or host_dead. Empty for Self.
	Host string `json:"host,omitempty"`
	// Reason says why the target is not up, empty when it is.
	Reason string `json:"reason,omitempty"`
	// Leg reports whether frames that this host sends on are known to arrive at the target:
	// proved, lost or unknown. New flows go there only while it is proved. LegFrom is the
	// other way, and LegReason says why Leg is not proved. All are empty for Self.
	Leg       string `json:"leg,omitempty"`
	LegFrom   string `json:"leg_from,omitempty"`
	LegReason string `json:"leg_reason,omitempty"`
	// Self marks this host's own haproxy.
	Self bool `json:"self"`
	// Place is where the data path keeps the target, which is what flows
	// remember; nil without a data path.
	Place *int `json:"place,omitempty"`
	// Services are how many services it has.
	Services int `json:"services"`
	// Connections are those still open while it drains; nil when it does not
	// drain, or when they are not known.
	Connections *int `json:"connections,omitempty"`
}

// Liveness is what the S-BFD session with a peer says of it (RFC 7880).
type Liveness struct {
	// Peer is the node's name, empty before it has been heard.
	Peer    string `json:"peer"`
	Address string `json:"address"`
	// State is StateUp, StateDown, StateAdminDown (out of service by its own
	// word), StateNone (the peer has no S-BFD) or StateUnknown (nothing heard yet).
	State string `json:"state"`
	// IntervalMS is the pause between probes in milliseconds, Multiplier how many
	// in a row must stay unanswered for StateDown.
	IntervalMS float64 `json:"interval_ms"`
	Multiplier int     `json:"multiplier"`
	// RTTMicroseconds is the last answer's round trip; 0 before the first.
	RTTMicroseconds float64 `json:"rtt_us"`
	// Sent, Answered and Missed count probes since the session began. A probe
	// whose time is not up is in Sent alone.
	Sent     uint64 `json:"sent"`
	Answered uint64 `json:"answered"`
	Missed   uint64 `json:"missed"`
	// LongestMiss is the longest row of missed probes. While the session has never
	// been down, it is how near that came.
	LongestMiss int `json:"longest_miss"`
	// MissRuns counts rows of misses that ended with an answer by their length: of one
	// probe, of two, and so on; the last one counts all that were longer too. Rows at
	// the end that never occurred are left out.
	MissRuns []uint64 `json:"miss_runs"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
}

// XDP tells of the data path.
type XDP struct {
	// Mode is ModeNative, ModeGeneric, ModeMixed or ModeOff.
	Mode string `json:"mode"`
	// Reason says why it is not native.
	Reason string `json:"reason,omitempty"`
	// Fallback says that there should be a data path and is none: this is a plain VRRP
	// daemon. Remedy is what to do about it.
	Fallback bool   `json:"fallback"`
	Remedy   string `json:"remedy,omitempty"`
	// Lacks are what this kernel has not and the data path does without.
	Lacks      []string       `json:"lacks"`
	Interfaces []XDPInterface `json:"interfaces"`
	// Lease is nil while the data path is off.
	Lease    *Lease       `json:"lease,omitempty"`
	Services []XDPService `json:"services"`
	// Flows are in the flow tables now, which have room for FlowCapacity.
	Flows        int `json:"flows"`
	FlowCapacity int `json:"flow_capacity"`
	// Counters are packets by reason: the reasons of bpf/abi.h in lower case.
	Counters map[string]uint64 `json:"counters"`
}

// XDPInterface is an interface that the program is attached to, or should be.
type XDPInterface struct {
	Name string `json:"name"`
	// Mode is ModeNative, ModeGeneric or ModeOff.
	Mode string `json:"mode"`
	// Reason says why it is not native.
	Reason string `json:"reason,omitempty"`
	// Adopted says that the program was there when the daemon started: an earlier
	// daemon had left it running.
	Adopted bool `json:"adopted"`
}

// Lease is the deadline up to which this host may answer for its VIPs without
// hearing from its daemon again.
type Lease struct {
	Fresh bool `json:"fresh"`
	// RemainingMS is the time left in milliseconds, negative since it ran out.
	RemainingMS float64 `json:"remaining_ms"`
	// Lapses count how often it ran out under this daemon.
	Lapses uint64 `json:"lapses"`
}

// XDPService is a service that the data path steers.
type XDPService struct {
	VIP  string `json:"vip"`
	Port uint16 `json:"port"`
	// Proto is tcp or udp.
	Proto string `json:"proto"`
	// Targets are the nodes that take its new flows.
	Targets []string `json:"targets"`
}

// withoutNulls makes the empty lists of x empty instead of null.
func (x XDP) withoutNulls() XDP {
	x.Lacks = orEmpty(x.Lacks)
	x.Interfaces = orEmpty(x.Interfaces)
	services := make([]XDPService, len(x.Services))
	for i, service := range x.Services {
		service.Targets = orEmpty(service.Targets)
		services[i] = service
	}
	x.Services = services
	x.Counters = orNone(x.Counters)
	return x
}
