// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"
	"slices"
	"time"

	"hafast/internal/bfd"
	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/membership"
	"hafast/internal/peers"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// dataPath is the part of datapath.Path that the loop needs; none of it waits.
type dataPath interface {
	Renew(time.Duration) (lapsed time.Duration)
	SetServing(bool)
	SetTargetState(netip.Addr, steering.State)
	SetLeg(target netip.Addr, proved bool)
	SetDesired(datapath.Desired)
	Reattach()
	SetWitness(netip.Addr) error
	WitnessReplies() uint64
}

// prober is the part of bfd.Prober that the loop needs.
type prober interface {
	Set([]bfd.Peer) error
	SetTiming(bfd.Timing) error
	SetWitness(bfd.Witness) error
	Suspend(bfd.Peer)
	Resume(bfd.Peer)
}

// exchange is the part of membership.Exchange that the loop needs.
type exchange interface {
	SetSelf(membership.Hello) error
	SetPeers([]membership.Neighbour)
}

// fleet is this host's part among the hosts that share flows: what it knows of the
// others, and what it tells them. Without a data path there is none.
type fleet struct {
	path     dataPath
	prober   prober
	legs     legProber
	exchange exchange
	// boot is this start of the daemon, as the hellos name it.
	boot uint64
	// frames counts what the interfaces have received.
	frames func() (uint64, error)
	// watch says what is looked at from now on, and has it done.
	watch func(observed)
	// count has haproxy's connections counted from time to time, or ends that.
	count func(bool)
	// watchDeparted replaces whose hosts are watched though their daemons are gone.
	watchDeparted func([]netip.Addr)
	// peers is what is known of the others.
	peers peers.Table
	// services are what haproxy listens on here; found tells that somebody has looked.
	services []steering.Service
	found    bool
	// syncOver ends the wait for what the peers have to say.
	syncOver bool
	// connections are what haproxy still holds; -1 while nobody counts.
	connections int
	// lapses counts how often the lease ran out.
	lapses uint64
	// doubt is set while nothing at all seems to arrive at this host.
	doubt *receiveDoubt
	// gateway is the default gateway that was found last.
	gateway gatewayFound
	// probed, witness and told are what the prober and the exchange know.
	probed  []bfd.Peer
	witness bfd.Witness
	told    []membership.Neighbour
}

// observed are what is looked at from time to time because it sends no event.
type observed struct {
	pidfile string       // of haproxy, whose sockets count; empty for none
	vips    []netip.Addr // to which they count
	iface   string       // whose default gateway may be the witness
}

// setPeers replaces the peers and keeps what is known of those that stay.
func (f *fleet) setPeers(addrs []netip.Addr) []peers.Output {
	return f.peers.Set(addrs[:min(len(addrs), config.MaxPeers)])
}

// begin fills in the peers, and which of them a predecessor sent flows to: those that have
// not been heard of by the time that the others are go on with them.
func (f *fleet) begin(now time.Time, addrs []netip.Addr, inherited []loader.Target) {
	outputs := f.setPeers(addrs)
	for _, t := range inherited {
		if t.Flags&loader.TargetOld != 0 {
			outputs = append(outputs, f.peers.Step(now, t.Addr, peers.InheritedFlows{MAC: t.MAC, Proved: t.Flags&loader.TargetNew != 0})...)
		}
	}
	for _, out := range outputs {
		if w, ok := out.(peers.Watching); ok { // the data path has the rest
			f.watchDeparted(w.Addrs)
		}
	}
}

// initialSyncWindow is how long a daemon whose instances have begun waits to hear from its
// peers before it has the data path follow what it knows. They say hello every 100 ms,
// and are listened to from then on.
const initialSyncWindow = 500 * time.Millisecond

// informed reports whether enough is known of the hosts to have the data path follow.
func (f *fleet) informed() bool {
	return f.syncOver || f.found && !slices.ContainsFunc(f.peers.All(), func(p *peers.Peer) bool { return !p.Heard() })
}

// timing is the configuration's pace of liveness.
func timing(c config.Liveness) bfd.Timing {
	return bfd.Timing{Interval: c.Interval, Multiplier: c.Multiplier}
}

// serviceOf translates a service of the configuration, or one that was found.
func serviceOf(s config.Service) steering.Service {
	proto := uint8(steering.TCP)
	if s.Proto == "udp" {
		proto = steering.UDP
	}
	return steering.Service{VIP: s.VIP, Port: s.Port, Proto: proto}
}
