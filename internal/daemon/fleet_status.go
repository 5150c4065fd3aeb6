// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/control"
	"hafast/internal/datapath"
	"hafast/internal/peers"
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
	for _, p := range f.peers.Hosts() {
		hello := p.Said.Hello
		state := p.State()
		t := control.Target{
			Node: hello.Node, Address: p.Addr.String(), State: state.Target().String(), Host: state.String(),
			Reason: reasonOf(p), Services: len(hello.Services),
			Leg: p.LegTo.String(), LegFrom: p.LegFrom.State.String(), LegReason: legReason(p),
		}
		if state.Target() == steering.Drain && p.Heard() {
			left := int(hello.Left)
			t.Connections = &left
		}
		st.Targets = append(st.Targets, t)
	}
	for _, p := range f.peers.All() {
		st.Liveness = append(st.Liveness, control.Liveness{
			Peer: p.Said.Hello.Node, Address: p.Addr.String(), State: p.Session.String(), Since: p.SessionSince,
			IntervalMS: float64(l.cfg.Liveness.Interval.Microseconds()) / 1000, Multiplier: l.cfg.Liveness.Multiplier,
		})
	}
	st.XDP.Lease = &control.Lease{Lapses: f.lapses}
}

// reasonOf says why a peer's haproxy takes no new flows.
func reasonOf(p *peers.Peer) string {
	state := p.State()
	switch {
	case state == peers.Up:
		return ""
	case !p.Heard():
		return "nothing heard of it yet"
	case state == peers.Suspect:
		return "does not answer; the flows that it has go there until that is certain"
	case state == peers.HostDead:
		return "does not answer"
	case p.Said.Hello.Reason != "":
		return p.Said.Hello.Reason
	case p.Session == bfd.AdminDown:
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
	for _, lack := range a.path.Lacks() {
		x.Lacks = append(x.Lacks, lack.String())
	}
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
	x.Counters = a.counters()
}

// countEvery is how often flows are counted for those who ask, at most.
const countEvery = 10 * time.Second

// fillFlows adds how many flows there are. It may take some tenths of a second.
func (a *fleetAdapters) fillFlows(x *control.XDP) {
	counted, err := a.path.Count(countEvery)
	if err != nil {
		a.log.Warn("flows cannot be counted", "error", err)
		return
	}
	for _, t := range a.flowTables(counted) {
		x.Flows += t.Flows
		x.FlowCapacity += t.Capacity
	}
}

// services are those in force, each with the nodes that get new flows of it from here.
func (a *fleetAdapters) services(names map[string]string) []control.XDPService {
	s := a.path.Steering()
	bySet := make([][]string, len(s.Tables))
	var gets [loader.MaxTargets]bool
	for _, t := range a.path.Targets() {
		gets[t.Place] = t.Flags&loader.TargetNew != 0
	}
	for set, table := range s.Tables {
		var seen [loader.MaxTargets]bool
		for _, place := range table {
			if int(place) < len(seen) && !seen[place] {
				seen[place] = true
				if addr, ok := a.path.PlaceOf(int(place)); ok && gets[place] {
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
