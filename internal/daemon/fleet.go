package daemon

import (
	"net/netip"
	"slices"
	"time"

	"hafast/internal/config"
	"hafast/internal/datapath"
	"hafast/internal/liveness"
	"hafast/internal/peering"
	"hafast/internal/steering"
	"hafast/pkg/loader"
)

// dataPath is the part of datapath.Path that the loop needs; none of it waits.
type dataPath interface {
	Renew(time.Duration) (lapsed time.Duration)
	SetServing(bool)
	Flip(netip.Addr, steering.State)
	SetLeg(target netip.Addr, proved bool)
	Wish(datapath.Wish)
	Reattach()
	SetWitness(netip.Addr) error
	WitnessReplies() uint64
}

// prober is the part of liveness.Prober that the loop needs.
type prober interface {
	Set([]liveness.Peer) error
	SetTiming(liveness.Timing) error
	SetWitness(liveness.Witness) error
	Suspend(liveness.Peer)
	Resume(liveness.Peer)
}

// exchange is the part of peering.Exchange that the loop needs.
type exchange interface {
	SetSelf(peering.Hello) error
	SetPeers([]peering.Neighbour)
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
	watch func(surroundings)
	// count has haproxy's connections counted from time to time, or ends that.
	count func(bool)
	// watchDeparted replaces whose hosts are watched though their daemons are gone.
	watchDeparted func([]netip.Addr)
	peers         []*peer
	// services are what haproxy listens on here; found tells that somebody has looked.
	services []steering.Service
	found    bool
	// impatient ends the wait for what the peers have to say.
	impatient bool
	// connections are what haproxy still holds; -1 while nobody counts.
	connections int
	// lapses counts how often the lease ran out.
	lapses uint64
	// numb is set while nothing at all seems to arrive at this host.
	numb *numbness
	// gateway is the default gateway that was found last.
	gateway gatewayFound
	// probed, witness and told are what the prober and the exchange know.
	probed  []liveness.Peer
	witness liveness.Witness
	told    []peering.Neighbour
}

// surroundings are what is looked at from time to time because it sends no event.
type surroundings struct {
	pidfile string       // of haproxy, whose sockets count; empty for none
	vips    []netip.Addr // to which they count
	iface   string       // whose default gateway may be the witness
}

// peer is another host.
type peer struct {
	addr netip.Addr
	// said is what it says of itself.
	said peering.Peer
	// live is what S-BFD says of it, since when.
	live      liveness.State
	liveSince time.Time
	// former: a predecessor of this daemon sent it flows.
	former bool
	// leg is the way of flows that this host sends on to it, as it says.
	leg liveness.LegState
	// legFrom is the way of flows that it sends on to this host.
	legFrom liveness.LegEvent
	// gone: since it has departed, its host has ceased to answer at all.
	gone bool
	// state is what its haproxy is good for.
	state steering.State
}

// has tells whether an address is the peer's own.
func (p *peer) has(a netip.Addr) bool { return p.addr == a || p.said.Has(a) }

// addresses are all by which the peer is known.
func (p *peer) addresses() []netip.Addr {
	return append([]netip.Addr{p.addr}, p.said.Hello.Addresses...)
}

// heard tells whether the peer has ever said anything.
func (p *peer) heard() bool { return !p.said.Heard.IsZero() }

// leaving tells whether the peer has said goodbye: its silence means nothing.
func (p *peer) leaving() bool { return p.heard() && p.said.Hello.State == peering.Stopping }

// departed tells whether the peer's daemon is not there to tell of its host, which may
// still have flows.
func (p *peer) departed() bool { return p.leaving() || p.former && !p.heard() }

// fit is what the peer's haproxy is good for. Flows that a host has stay there for as
// long as the host may be alive: a daemon that is gone does them no harm.
func (p *peer) fit() steering.State {
	hello := p.said.Hello.State
	switch {
	case !p.heard() && p.former && !p.gone && p.live != liveness.Down:
		return steering.Drain // it may have been stopped before this daemon was started
	case !p.heard():
		return steering.Down // where it is and what it serves is not known
	case hello == peering.Stopping && p.gone:
		return steering.Down
	case hello == peering.Stopping:
		return steering.Drain
	case p.live == liveness.Down, hello == peering.Down:
		return steering.Down
	case p.live == liveness.AdminDown, hello == peering.Drain:
		return steering.Drain
	case p.said.Silent && p.live != liveness.Up:
		return steering.Down // neither way has anything been heard for a while
	default:
		return steering.Up
	}
}

// present tells whether the peer may take over what this host might.
func (p *peer) present() bool {
	switch {
	case p.leaving(), p.live == liveness.Down, p.live == liveness.AdminDown:
		return false
	case p.live == liveness.Up:
		return true
	default:
		return p.heard() && !p.said.Silent
	}
}

// maxPeers is what the data path has room for beside this host.
const maxPeers = loader.MaxTargets - 1

// setPeers replaces the peers and keeps what is known of those that stay.
func (f *fleet) setPeers(addrs []netip.Addr) {
	old := f.peers
	f.peers = nil
	for _, a := range addrs[:min(len(addrs), maxPeers)] {
		at := slices.IndexFunc(old, func(p *peer) bool { return p.addr == a })
		if at >= 0 {
			f.peers = append(f.peers, old[at])
			continue
		}
		f.peers = append(f.peers, &peer{addr: a, said: peering.Peer{Addr: a, Silent: true}})
	}
	f.watchDeparted(f.departed())
}

// inherit takes over which peers a predecessor sent flows to. Those that have not been
// heard of by the time that the others are go on with them.
func (f *fleet) inherit(targets []loader.Target) {
	for _, t := range targets {
		p := f.peer(t.Addr)
		if p == nil || t.Flags&loader.TargetOld == 0 {
			continue
		}
		p.former, p.said.Hello.MAC = true, t.MAC
		if t.Flags&loader.TargetNew != 0 {
			p.leg = liveness.LegProved
		}
		p.state = p.fit()
	}
	f.watchDeparted(f.departed())
}

// departed are the addresses of the peers that have.
func (f *fleet) departed() []netip.Addr {
	var out []netip.Addr
	for _, p := range f.peers {
		if p.departed() {
			out = append(out, p.addr)
		}
	}
	return out
}

// gone tells whether a host that has departed answers by none of its addresses.
func (f *fleet) gone(p *peer) bool {
	return !slices.ContainsFunc(f.peers, func(q *peer) bool { return same(p, q) && q.departed() && !q.gone })
}

func (f *fleet) peer(addr netip.Addr) *peer {
	for _, p := range f.peers {
		if p.addr == addr {
			return p
		}
	}
	return nil
}

// others are the peers, each host once: one that is listed by several addresses, as
// for instances of both families, goes by the first.
func (f *fleet) others() []*peer {
	var out []*peer
	for _, p := range f.peers {
		if !slices.ContainsFunc(out, func(q *peer) bool { return same(p, q) }) {
			out = append(out, p)
		}
	}
	return out
}

// same tells whether two entries are one host.
func same(p, q *peer) bool {
	return p == q || p.said.Has(q.addr) || q.said.Has(p.addr) ||
		p.heard() && q.heard() && q.said.Hello.Boot == p.said.Hello.Boot
}

// answersElsewhere tells whether the host answers by another of its addresses.
func (f *fleet) answersElsewhere(p *peer) bool {
	return slices.ContainsFunc(f.peers, func(q *peer) bool { return q != p && same(p, q) && q.live == liveness.Up })
}

// alone tells whether no other host than p may take over.
func (f *fleet) alone(p *peer) bool {
	return !slices.ContainsFunc(f.others(), func(q *peer) bool {
		return !same(p, q) && q.present()
	})
}

// acquaintance is how long a daemon whose instances have begun waits to hear from its
// peers before it has the data path follow what it knows. They say hello every 100 ms,
// and are listened to from then on.
const acquaintance = 500 * time.Millisecond

// informed tells whether enough is known of the hosts to have the data path follow.
func (f *fleet) informed() bool {
	return f.impatient || f.found && !slices.ContainsFunc(f.peers, func(p *peer) bool { return !p.heard() })
}

// timing is the configuration's pace of liveness.
func timing(c config.Liveness) liveness.Timing {
	return liveness.Timing{Interval: c.Interval, Multiplier: c.Multiplier}
}

// serviceOf translates a service of the configuration, or one that was found.
func serviceOf(s config.Service) steering.Service {
	proto := uint8(steering.TCP)
	if s.Proto == "udp" {
		proto = steering.UDP
	}
	return steering.Service{VIP: s.VIP, Port: s.Port, Proto: proto}
}
