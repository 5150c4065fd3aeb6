// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"

	"hafast/internal/bfd"
	"hafast/internal/control"
	"hafast/internal/datapath"
	"hafast/internal/metrics"
	"hafast/pkg/loader"
)

// scrape is what the metrics show.
func (a *fleetAdapters) scrape(st control.Status) metrics.DataPath {
	dp := metrics.DataPath{
		Packets: st.XDP.Counters, Services: len(st.XDP.Services), HellosRejected: make(map[string]uint64),
	}
	for _, i := range st.XDP.Interfaces {
		dp.Interfaces = append(dp.Interfaces, metrics.Interface{Name: i.Name, Mode: i.Mode})
	}
	for _, t := range st.Targets {
		if addr, err := netip.ParseAddr(t.Address); err == nil {
			dp.Targets = append(dp.Targets, metrics.Target{Address: addr, State: t.State, LegTo: t.Leg, LegFrom: t.LegFrom})
		}
	}
	if counted, ok := a.path.Counted(); ok {
		dp.Flows = a.flowTables(counted)
	}
	dp.ByService = a.byService()
	for reason, n := range a.exchange.Stats().Rejected {
		dp.HellosRejected[string(reason)] = n
	}
	figures, err := a.prober.Status()
	if err != nil {
		return dp
	}
	for _, p := range figures.Peers {
		s := p.Snapshot.Stats
		peer := metrics.Peer{
			Address: p.Peer.Addr, State: p.Snapshot.State.String(), Answered: s.Answered, Missed: s.Missed,
			LongestMiss: int(s.LongestRun), RTT: metrics.Histogram{Sum: s.RTT.Sum, Counts: slices.Clone(s.RTT.Buckets[:])},
		}
		for i := range s.RTT.Buckets {
			if bound, ok := bfd.BucketBound(i); ok {
				peer.RTT.Bounds = append(peer.RTT.Bounds, bound)
			}
		}
		dp.Peers = append(dp.Peers, peer)
	}
	return dp
}

// byService is what has become of the packets to each service.
func (a *fleetAdapters) byService() []metrics.Service {
	traffic, err := a.path.Traffic()
	if err != nil {
		a.log.Debug("traffic is not counted", "error", err)
		return nil
	}
	services := make(map[int]*metrics.Service)
	var out []metrics.Service
	for _, s := range a.path.Steering().Services {
		out = append(out, metrics.Service{VIP: netip.AddrPortFrom(s.VIP, s.Port), Proto: protoName(s.Proto), Flows: -1})
	}
	for i, s := range a.path.Steering().Services {
		services[int(s.ID)] = &out[i]
	}
	rest := metrics.Service{Flows: -1} // of services that have gone, or have no number of their own
	for _, t := range traffic {
		service := services[t.Service]
		if service == nil {
			service = &rest
		}
		target, _ := a.path.PlaceOf(t.Place)
		if t.Class == loader.TrafficNobody {
			target = netip.Addr{}
		}
		service.Traffic = append(service.Traffic, metrics.Traffic{
			Target: target, Verdict: t.Class.String(), Packets: t.Packets, Bytes: t.Bytes,
		})
	}
	if len(rest.Traffic) > 0 {
		out = append(out, rest)
	}
	return out
}

// flowTables are the flow tables, each with its share of the flows.
func (a *fleetAdapters) flowTables(counted datapath.Tally) []metrics.FlowTable {
	tables := []struct {
		name string
		metrics.FlowTable
	}{
		{"tcp4", metrics.FlowTable{Proto: "tcp", Family: "ipv4", Flows: counted.TCP4}},
		{"tcp6", metrics.FlowTable{Proto: "tcp", Family: "ipv6", Flows: counted.TCP6}},
		{"udp4", metrics.FlowTable{Proto: "udp", Family: "ipv4", Flows: counted.UDP4}},
		{"udp6", metrics.FlowTable{Proto: "udp", Family: "ipv6", Flows: counted.UDP6}},
	}
	out := make([]metrics.FlowTable, len(tables))
	for i, t := range tables {
		out[i] = t.FlowTable
		if m := a.path.Map(t.name); m != nil {
			out[i].Capacity = int(m.MaxEntries())
		}
	}
	return out
}
