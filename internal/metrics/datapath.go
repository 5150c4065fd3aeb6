// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"net/netip"
	"time"

	"hafast/internal/steering"
)

// DataPath is what a scrape shows of the XDP program, the haproxies that flows
// can go to, and the peers: a snapshot. A part that is empty has no series.
type DataPath struct {
	// Interfaces are those the program is attached to, or should be.
	Interfaces []Interface
	// Packets are counts by reason, each reason of pkg/loader among them.
	Packets map[string]uint64
	// Flows are the flow tables, where somebody has counted them: the kernel
	// does not, and a scrape is no occasion to visit a million entries.
	Flows []FlowTable
	// Services is how many are in force, ByService what is known of each.
	Services  int
	ByService []Service
	// Targets are steering.MaxTargets at most, Peers one fewer; more are not shown.
	Targets []Target
	Peers   []Peer
	// HellosRejected are counts by reason, each reason of internal/membership among
	// them.
	HellosRejected map[string]uint64
}

// Interface is how the XDP program runs on an interface.
type Interface struct {
	Name string
	// Mode is native, generic or off.
	Mode string
}

// FlowTable is a flow table.
type FlowTable struct {
	// Proto is tcp or udp, Family ipv4 or ipv6.
	Proto, Family string
	// Flows are the entries, Capacity is how many there can be.
	Flows, Capacity int
}

// Target is a haproxy that flows can go to. Its label is its address, which is
// from the configuration: the name of its node is what a packet says.
type Target struct {
	Address netip.Addr
	// State is up, drain, down or unknown.
	State string
	// LegTo and LegFrom are proved, lost or unknown: whether frames that this host sends on
	// arrive at the target, and the other way. Both are empty for this host's own.
	LegTo, LegFrom string
}

// Peer is the S-BFD session with a peer. Its label is its address.
type Peer struct {
	Address netip.Addr
	// State is up, down, admin_down, none or unknown.
	State string
	// Answered and Missed are probes since the session began.
	Answered, Missed uint64
	// LongestMiss is the longest row of missed probes.
	LongestMiss int
	// RTT are the round trips.
	RTT Histogram
}

// Histogram counts durations in buckets.
type Histogram struct {
	Sum time.Duration
	// Bounds are the upper bounds of the buckets but the last, ascending; Counts
	// what is in each bucket (not cumulative), the last one's included.
	Bounds []time.Duration
	Counts []uint64
}

const (
	// maxPeers is what the data path has room for beside this host.
	maxPeers = steering.MaxTargets - 1
	// maxReasons bounds the reasons; beyond it they are counted as other.
	maxReasons = 64
	// maxKeys is how many keys of state sync are live at a time.
	maxKeys = 2
	// maxInterfaces bounds the interfaces shown, far above what hosts have.
	maxInterfaces = 64
	// readTime bounds the reading of one snapshot, within a scrape's time.
	readTime = 5 * time.Second
)

// WatchDataPath has read called at each scrape, from the scrape's goroutine and
// perhaps from two at once. It may take until its context ends. An error costs
// the scrape these series. Another call replaces read, and nil ends it, which
// takes the series away.
func (m *Metrics) WatchDataPath(read func(context.Context) (DataPath, error)) {
	m.dataPath.from.watch(read)
}

// XDPFallback records whether this host is a plain VRRP daemon and should not be.
func (m *Metrics) XDPFallback(on bool) { m.xdpFallback.Set(truth(on)) }

// LeaseRenewed records how much later than planned the lease was renewed.
func (m *Metrics) LeaseRenewed(late time.Duration) { m.leaseLate.Observe(late.Seconds()) }

// FalseAlarm counts a peer that was suspected and was there after all.
func (m *Metrics) FalseAlarm() { m.falseAlarms.Inc() }

// LeaseLapsed counts a lease that ran out before it was renewed.
func (m *Metrics) LeaseLapsed() { m.leaseLapses.Inc() }
