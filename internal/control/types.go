// SPDX-License-Identifier: Apache-2.0

package control

import "time"

// Status is what `hafast status --json` prints.
type Status struct {
	Node      string     `json:"node"`
	Version   string     `json:"version"`
	Uptime    float64    `json:"uptime_seconds"`
	Drained   bool       `json:"drained"`
	Instances []Instance `json:"instances"`
	Targets   []Target   `json:"targets"`
	Checks    []Check    `json:"checks"`
	Liveness  []Liveness `json:"liveness"`
	Sync      Sync       `json:"sync"`
	XDP       XDP        `json:"xdp"`
}

// Instance is one virtual router as this host sees it.
type Instance struct {
	Name      string `json:"name"`
	VRID      uint8  `json:"vrid"`
	Interface string `json:"interface"`
	Version   int    `json:"version"`
	// State is init, backup, active or fault.
	State string `json:"state"`
	// Reason says why the instance is in fault, empty otherwise.
	Reason   string `json:"reason,omitempty"`
	Priority uint8  `json:"priority"`
	// EffectivePriority is what tracking makes of Priority; 0 when out of service.
	EffectivePriority uint8 `json:"effective_priority"`
	// OutOfService says why this host should not be chosen, empty when it may.
	OutOfService string   `json:"out_of_service,omitempty"`
	VIPs         []string `json:"vips"`
	// Active is the address of the host that is Active, empty when unknown.
	Active      string    `json:"active,omitempty"`
	Since       time.Time `json:"since"`
	SyncGroup   string    `json:"sync_group,omitempty"`
	Transitions uint64    `json:"transitions"`
}

// Check is one health check.
type Check struct {
	Name   string    `json:"name"`
	Up     bool      `json:"up"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

// Event is one entry of the journal: a transition, a rival claim, a mended
// address, a reload.
type Event struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	// Kind is transition, takeover, health, rival, mended, note, drain, ready, reload, start or stop.
	Kind     string `json:"kind"`
	Instance string `json:"instance,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	// Cause is a short sentence for people.
	Cause string `json:"cause"`
	// Phases are set on a takeover: how long each step took, in order.
	Phases []Phase `json:"phases,omitempty"`
}

// Phase is one timed step of a takeover.
type Phase struct {
	// Name is decide, address, announce or total.
	Name string `json:"name"`
	// Microseconds the step took.
	Microseconds float64 `json:"us"`
}

// DrainResult tells what a drain came to. Instances that were not Active here
// when it began are in neither list.
type DrainResult struct {
	// Moved are the instances another host has taken over.
	Moved []Handover `json:"moved"`
	// Kept are the instances nobody took over in time: their VIPs are still
	// here, and still served.
	Kept []Handover `json:"kept"`
	// Connections are how many of this host's haproxy are still open: they stay
	// until they end by themselves. It is nil when they cannot be counted.
	Connections *int `json:"connections,omitempty"`
}

// Handover is one instance's part in a drain.
type Handover struct {
	Instance string   `json:"instance"`
	VIPs     []string `json:"vips"`
	// To is the address of the new Active, empty when unknown or when kept.
	To string `json:"to,omitempty"`
	// Reason says why the instance was kept, empty when it moved.
	Reason string `json:"reason,omitempty"`
}
