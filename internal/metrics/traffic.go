// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"hafast/internal/steering"
)

// Verdicts of the XDP program on a packet to a service, as pkg/loader names them.
const (
	VerdictLocal  = "local"  // to this host's haproxy
	VerdictPeer   = "peer"   // to a peer's
	VerdictNobody = "nobody" // to this host's stack: the target is dead, or there is none
)

// noTarget is the target of what is for nobody.
const noTarget = "none"

// Service is a steered service, and what has become of the packets to it. Its label is
// address:port/protocol.
type Service struct {
	// VIP is the zero AddrPort for services that nobody tells apart.
	VIP netip.AddrPort
	// Proto is tcp or udp.
	Proto string
	// Flows are those in the flow tables when they were last counted; negative where
	// nobody has counted them.
	Flows   int
	Traffic []Traffic
}

// Traffic counts packets to a service with one target and verdict.
type Traffic struct {
	// Target is the address of the haproxy that the packets were for; the zero Addr for
	// nobody's.
	Target netip.Addr
	// Verdict is VerdictLocal, VerdictPeer or VerdictNobody.
	Verdict string
	// Bytes are those of the frames.
	Packets, Bytes uint64
}

// maxServices bounds the services that are shown one by one, in the order in which the
// snapshot has them. The others are one service, other.
const maxServices = 256

// trafficDescs are the series of services.
type trafficDescs struct {
	packets, bytes, flows *prometheus.Desc
	verdicts              set
}

func newTrafficDescs(desc func(name, help string, labels ...string) *prometheus.Desc) trafficDescs {
	return trafficDescs{
		verdicts: set{VerdictLocal, VerdictPeer, VerdictNobody},
		packets: desc("service_packets_total",
			"Packets to a service, by the haproxy they are for and what the XDP program did with them.", "service", "target", "verdict"),
		bytes: desc("service_bytes_total",
			"Bytes of the frames to a service, by the haproxy they are for and what the XDP program did with them.", "service", "target", "verdict"),
		flows: desc("service_flows",
			"Flows of a service in the flow tables when they were last counted.", "service"),
	}
}

// lane is what the labels of a service's traffic say.
type lane struct{ service, target, verdict string }

// collect adds up what has the same labels, so that no series comes twice.
func (d trafficDescs) collect(s series, services []Service) {
	var (
		sums    = map[lane]Traffic{}
		flows   = map[string]int{}
		shown   = map[string]struct{}{}
		targets = map[string]struct{}{}
	)
	for _, service := range services {
		name := other
		if service.VIP.IsValid() {
			name = bounded(shown, maxServices, service.VIP.String()+"/"+service.Proto, other)
		}
		if service.Flows >= 0 {
			flows[name] += service.Flows
		}
		for _, t := range service.Traffic {
			target := noTarget
			if t.Target.IsValid() {
				target = bounded(targets, steering.MaxTargets, t.Target.String(), other)
			}
			at := lane{name, target, d.verdicts.bound(t.Verdict)}
			sum := sums[at]
			sum.Packets += t.Packets
			sum.Bytes += t.Bytes
			sums[at] = sum
		}
	}
	for at, sum := range sums {
		s.counter(d.packets, sum.Packets, at.service, at.target, at.verdict)
		s.counter(d.bytes, sum.Bytes, at.service, at.target, at.verdict)
	}
	for name, n := range flows {
		s.gauge(d.flows, float64(n), name)
	}
}

// bounded returns v if it is one of the first limit different ones that seen has met,
// and beyond them rest.
func bounded[T comparable](seen map[T]struct{}, limit int, v, rest T) T {
	if _, known := seen[v]; !known {
		if len(seen) == limit {
			return rest
		}
		seen[v] = struct{}{}
	}
	return v
}
