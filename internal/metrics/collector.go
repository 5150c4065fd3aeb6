// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"hafast/internal/steering"
)

// dataPathCollector makes the series of a DataPath at the moment of a scrape. So
// they agree with each other, and what is gone leaves none behind.
type dataPathCollector struct {
	from snapshot[DataPath]

	links, targets, legs, peers, protos, families set // of states and names

	xdpMode, packets, flows, capacity, services, targetState, leg *prometheus.Desc
	peerState, probes, longestMiss, rtt, hellos                   *prometheus.Desc
	traffic                                                       trafficDescs
}

func newDataPathCollector() *dataPathCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &dataPathCollector{
		links:    set{"native", "generic", "off"},
		targets:  set{"up", "drain", "down", unknown},
		legs:     set{"proved", "lost", unknown},
		peers:    set{"up", "down", "admin_down", "none", unknown},
		protos:   set{"tcp", "udp"},
		families: set{"ipv4", "ipv6"},

		xdpMode: desc("xdp_mode",
			"1 for the mode the XDP program runs in on the interface, 0 for the others.", "interface", "mode"),
		packets: desc("xdp_packets_total",
			"Packets the XDP program has seen, each under the one reason for what became of it.", "reason"),
		flows: desc("flows",
			"Flows in the flow tables.", "proto", "family"),
		capacity: desc("flows_capacity",
			"Flows the flow tables have room for.", "proto", "family"),
		services: desc("services",
			"Services that are steered."),
		targetState: desc("target_state",
			"1 for the state the haproxy is in, 0 for the others.", "target", "state"),
		leg: desc("leg_state",
			"1 for the state of the way of flows that are sent on, to the target or from it, 0 for the others. "+
				"New flows go to a target only while the way to it is proved.", "target", "direction", "state"),
		peerState: desc("liveness_state",
			"1 for the state the liveness session with the peer is in, 0 for the others.", "peer", "state"),
		probes: desc("liveness_probes_total",
			"S-BFD probes sent to the peer whose outcome is known.", "peer", "result"),
		longestMiss: desc("liveness_longest_miss",
			"Most probes in a row that the peer has left unanswered.", "peer"),
		rtt: desc("liveness_rtt_seconds",
			"Round trips of S-BFD probes to the peer.", "peer"),
		hellos: desc("hellos_rejected_total",
			"Hellos received from peers, or others, and not used, by reason.", "reason"),
		traffic: newTrafficDescs(desc),
	}
}

// Describe is prometheus.Collector's.
func (c *dataPathCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.xdpMode, c.packets, c.flows, c.capacity, c.services, c.targetState, c.leg,
		c.peerState, c.probes, c.longestMiss, c.rtt, c.hellos,
		c.traffic.packets, c.traffic.bytes, c.traffic.flows,
	} {
		descs <- desc
	}
}

// Collect is prometheus.Collector's.
func (c *dataPathCollector) Collect(out chan<- prometheus.Metric) {
	dp, ok, err := c.from.take()
	switch {
	case err != nil:
		out <- prometheus.NewInvalidMetric(c.packets, err)
		return
	case !ok:
		return
	}
	s := series{out: out}
	c.collectProgram(s, dp)
	c.collectTargets(s, dp)
	c.collectPeers(s, dp.Peers)
	s.counts(c.hellos, dp.HellosRejected)
	c.traffic.collect(s, dp.ByService)
}

func (c *dataPathCollector) collectProgram(s series, dp DataPath) {
	for _, link := range distinct(dp.Interfaces, maxInterfaces, func(i Interface) string { return i.Name }) {
		s.states(c.xdpMode, c.links, link.Mode, link.Name)
	}
	s.counts(c.packets, dp.Packets)
	tables := distinct(dp.Flows, len(c.protos)*len(c.families), func(t FlowTable) [2]string { return [2]string{t.Proto, t.Family} })
	for _, t := range tables {
		if slices.Contains(c.protos, t.Proto) && slices.Contains(c.families, t.Family) {
			s.gauge(c.flows, float64(t.Flows), t.Proto, t.Family)
			s.gauge(c.capacity, float64(t.Capacity), t.Proto, t.Family)
		}
	}
}

func (c *dataPathCollector) collectTargets(s series, dp DataPath) {
	s.gauge(c.services, float64(dp.Services))
	for _, t := range distinct(dp.Targets, steering.MaxTargets, func(t Target) string { return t.Address.String() }) {
		s.states(c.targetState, c.targets, t.State, t.Address.String())
		if t.LegTo != "" {
			s.states(c.leg, c.legs, t.LegTo, t.Address.String(), "to")
			s.states(c.leg, c.legs, t.LegFrom, t.Address.String(), "from")
		}
	}
}

func (c *dataPathCollector) collectPeers(s series, peers []Peer) {
	for _, p := range distinct(peers, maxPeers, func(p Peer) string { return p.Address.String() }) {
		name := p.Address.String()
		s.states(c.peerState, c.peers, p.State, name)
		s.counter(c.probes, p.Answered, name, "answered")
		s.counter(c.probes, p.Missed, name, "missed")
		s.gauge(c.longestMiss, float64(p.LongestMiss), name)
		s.histogram(c.rtt, p.RTT, name)
	}
}

// distinct are the first limit elements with different keys: a series that comes
// twice would cost the scrape them all.
func distinct[T any, K comparable](list []T, limit int, key func(T) K) []T {
	seen := make(map[K]struct{}, len(list))
	var kept []T
	for _, v := range list {
		if _, twice := seen[key(v)]; twice || len(kept) == limit {
			continue
		}
		seen[key(v)] = struct{}{}
		kept = append(kept, v)
	}
	return kept
}

// series writes the series of one scrape.
type series struct{ out chan<- prometheus.Metric }

func (s series) gauge(desc *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
}

func (s series) counter(desc *prometheus.Desc, n uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
}

// states writes a state-set, whose last label is the state. A state that is not in the set
// is the last one.
func (s series) states(desc *prometheus.Desc, all set, state string, labels ...string) {
	state = all.boundToLast(state)
	for _, one := range all {
		s.gauge(desc, truth(one == state), slices.Concat(labels, []string{one})...)
	}
}

// counts writes counts by reason, the last label, those beyond the bound together as other.
func (s series) counts(desc *prometheus.Desc, by map[string]uint64, labels ...string) {
	reasons := slices.Sorted(maps.Keys(by))
	var rest uint64
	for i, reason := range reasons {
		if i >= maxReasons || reason == other {
			rest += by[reason]
			continue
		}
		s.counter(desc, by[reason], slices.Concat(labels, []string{reason})...)
	}
	if rest > 0 {
		s.counter(desc, rest, slices.Concat(labels, []string{other})...)
	}
}

func (s series) histogram(desc *prometheus.Desc, h Histogram, labels ...string) {
	var total uint64
	cumulative := make(map[float64]uint64, len(h.Bounds))
	for i, n := range h.Counts {
		total += n
		if i < len(h.Bounds) {
			cumulative[h.Bounds[i].Seconds()] = total
		}
	}
	s.out <- prometheus.MustNewConstHistogram(desc, total, h.Sum.Seconds(), cumulative, labels...)
}
