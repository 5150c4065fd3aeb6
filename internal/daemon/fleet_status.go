package daemon

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hafast/internal/control"
	"hafast/internal/datapath"
	"hafast/internal/liveness"
	"hafast/internal/metrics"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// fleetStatus adds what the loop knows of the peers.
func (l *loop) fleetStatus(st *control.Status) {
	f := l.fleet
	if f == nil {
		return
	}
	for i := range st.Targets {
		st.Targets[i].Services = len(f.services)
		st.Targets[i].State = l.fit().String()
		st.Targets[i].Reason = l.why()
		if f.connections >= 0 {
			n := f.connections
			st.Targets[i].Connections = &n
		}
	}
	for _, p := range f.others() {
		hello := p.said.Hello
		t := control.Target{
			Node: hello.Node, Address: p.addr.String(), State: p.state.String(),
			Reason: p.reason(), Services: len(hello.Services),
		}
		if p.state == steering.Drain {
			left := int(hello.Left)
			t.Connections = &left
		}
		st.Targets = append(st.Targets, t)
	}
	for _, p := range f.peers {
		st.Liveness = append(st.Liveness, control.Liveness{
			Peer: p.said.Hello.Node, Address: p.addr.String(), State: p.live.String(), Since: p.liveSince,
			IntervalMS: float64(l.cfg.Liveness.Interval.Microseconds()) / 1000, Multiplier: l.cfg.Liveness.Multiplier,
		})
	}
	st.XDP.Lease = &control.Lease{Lapses: f.lapses}
}

// reason says why a peer's haproxy takes no new flows.
func (p *peer) reason() string {
	switch {
	case p.state == steering.Up:
		return ""
	case !p.heard():
		return "nothing heard of it yet"
	case p.live == liveness.Down:
		return "does not answer"
	case p.said.Hello.Reason != "":
		return p.said.Hello.Reason
	case p.live == liveness.AdminDown:
		return "its daemon does not renew its lease, or is out of service"
	default:
		return "silent"
	}
}

// fill adds what the adapters know; it may take some milliseconds.
func (a *fleetAdapters) fill(st *control.Status) {
	a.fillLiveness(st.Liveness)
	names := namesOf(st.Targets)
	places := make(map[netip.Addr]int)
	for _, t := range a.path.Targets() {
		places[t.Addr] = t.Place
	}
	for i := range st.Targets {
		if addr, err := netip.ParseAddr(st.Targets[i].Address); err == nil {
			if place, ok := places[addr]; ok {
				st.Targets[i].Place = &place
			}
		}
	}
	a.fillXDP(&st.XDP, names)
}

func (a *fleetAdapters) fillLiveness(list []control.Liveness) {
	figures, err := a.prober.Status()
	if err != nil {
		return
	}
	for i := range list {
		for _, p := range figures.Peers {
			if p.Peer.Addr.String() != list[i].Address {
				continue
			}
			s := p.Snapshot.Stats
			list[i].Sent, list[i].Answered, list[i].Missed = s.Sent, s.Answered, s.Missed
			list[i].LongestMiss = int(s.LongestRun)
			list[i].MissRuns = append([]uint64{}, s.Runs[:]...)
			for n := len(list[i].MissRuns); n > 0 && list[i].MissRuns[n-1] == 0; n-- {
				list[i].MissRuns = list[i].MissRuns[:n-1]
			}
			list[i].RTTMicroseconds = float64(s.RTT.Last.Nanoseconds()) / 1000
		}
	}
}

func (a *fleetAdapters) fillXDP(x *control.XDP, names map[string]string) {
	x.Mode, x.Reason = "", ""
	failures := a.path.Failures()
	for _, at := range a.path.Attachments() {
		x.Interfaces = append(x.Interfaces, control.XDPInterface{
			Name: at.Interface, Mode: at.Mode.String(), Reason: at.Reason, Adopted: at.Adopted,
		})
	}
	for name, why := range failures {
		x.Interfaces = append(x.Interfaces, control.XDPInterface{Name: name, Mode: control.ModeOff, Reason: why})
	}
	slices.SortFunc(x.Interfaces, func(p, q control.XDPInterface) int { return strings.Compare(p.Name, q.Name) })
	for _, i := range x.Interfaces {
		switch {
		case x.Mode == "":
			x.Mode, x.Reason = i.Mode, i.Reason
		case x.Mode != i.Mode:
			x.Mode = control.ModeMixed
		}
	}
	if x.Lease != nil {
		left := a.path.Lease() - datapath.Now()
		x.Lease.Fresh, x.Lease.RemainingMS = left > 0, float64(left.Microseconds())/1000
	}
	x.Services = a.services(names)
	if counts, capacity, err := a.flowCounts(); err == nil {
		x.Flows = counts.TCP4 + counts.TCP6 + counts.UDP4 + counts.UDP6
		x.FlowCapacity = capacity
	}
	x.Counters = a.counters()
}

// services are those in force, each with the nodes that take its new flows.
func (a *fleetAdapters) services(names map[string]string) []control.XDPService {
	s := a.path.Steering()
	bySet := make([][]string, len(s.Tables))
	for set, table := range s.Tables {
		var seen [loader.MaxTargets]bool
		for _, place := range table {
			if int(place) < len(seen) && !seen[place] {
				seen[place] = true
				if addr, ok := a.path.PlaceOf(int(place)); ok {
					bySet[set] = append(bySet[set], nodeName(names, addr.String()))
				}
			}
		}
		slices.Sort(bySet[set])
	}
	out := make([]control.XDPService, len(s.Services))
	for i, svc := range s.Services {
		out[i] = control.XDPService{VIP: svc.VIP.String(), Port: svc.Port, Proto: protoName(svc.Proto)}
		if int(svc.Set) < len(bySet) {
			out[i].Targets = bySet[svc.Set]
		}
	}
	return out
}

func (a *fleetAdapters) counters() map[string]uint64 {
	counters, err := a.path.Counters()
	if err != nil {
		a.log.Warn("counters of the data path cannot be read", "error", err)
	}
	out := make(map[string]uint64, len(counters))
	for reason, n := range counters {
		out[loader.Reason(reason).String()] = n
	}
	return out
}

// flowCounts counts the flows, but not more often than countEvery: the kernel keeps
// no count, and a million of them take some tenths of a second.
func (a *fleetAdapters) flowCounts() (loader.FlowCounts, int, error) {
	const countEvery = 5 * time.Second
	a.tally.Lock()
	defer a.tally.Unlock()
	if time.Since(a.countedAt) >= countEvery {
		counts, err := a.path.FlowCounts()
		if err != nil {
			return counts, 0, err
		}
		a.counted, a.countedAt = counts, time.Now()
	}
	capacity := 0
	for _, c := range a.capacities() {
		capacity += c
	}
	return a.counted, capacity, nil
}

// capacities are of the tables for TCP over IPv4 and IPv6, and UDP.
func (a *fleetAdapters) capacities() [4]int {
	var out [4]int
	for i, name := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		if m := a.path.Map(name); m != nil {
			out[i] = int(m.MaxEntries())
		}
	}
	return out
}

// flows lists the flow table.
func (a *fleetAdapters) flows(ctx context.Context, targets []control.Target, yield func(control.Flow) error) error {
	names := namesOf(targets)
	var addrs [loader.MaxTargets]string
	for place := range addrs {
		if addr, ok := a.path.PlaceOf(place); ok {
			addrs[place] = addr.String()
		}
	}
	for f, err := range a.path.Flows() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			addr := ""
			if f.Place < len(addrs) {
				addr = addrs[f.Place]
			}
			err = yield(control.Flow{
				Proto: protoName(f.Proto), Client: f.Client.String(), VIP: f.VIP.String(),
				Target: names[addr], TargetAddress: addr, Closing: f.Closing, IdleSeconds: f.Idle.Seconds(),
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
			dp.Targets = append(dp.Targets, metrics.Target{Address: addr, State: t.State})
		}
	}
	if counts, _, err := a.flowCounts(); err == nil {
		caps := a.capacities()
		dp.Flows = []metrics.FlowTable{
			{Proto: "tcp", Family: "ipv4", Flows: counts.TCP4, Capacity: caps[0]},
			{Proto: "tcp", Family: "ipv6", Flows: counts.TCP6, Capacity: caps[1]},
			{Proto: "udp", Family: "ipv4", Flows: counts.UDP4, Capacity: caps[2]},
			{Proto: "udp", Family: "ipv6", Flows: counts.UDP6, Capacity: caps[3]},
		}
	}
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
			if bound, ok := liveness.BucketBound(i); ok {
				peer.RTT.Bounds = append(peer.RTT.Bounds, bound)
			}
		}
		dp.Peers = append(dp.Peers, peer)
	}
	return dp
}

// namesOf finds nodes by the addresses of their targets.
func namesOf(targets []control.Target) map[string]string {
	names := make(map[string]string)
	for _, t := range targets {
		names[t.Address] = t.Node
	}
	return names
}

func nodeName(names map[string]string, addr string) string {
	if name := names[addr]; name != "" {
		return name
	}
	return addr
}

func protoName(proto uint8) string {
	if proto == loader.UDP {
		return "udp"
	}
	return "tcp"
}
