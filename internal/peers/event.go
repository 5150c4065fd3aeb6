// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"

	"hafast/internal/bfd"
	"hafast/internal/membership"
	"hafast/pkg/vrrp"
)

// Event is what this host finds out about a peer.
type Event interface{ event() }

type (
	// Probed is a change of its S-BFD session. Doubtful is set where nothing else arrives at
	// this host either: its own receiving may be at fault.
	Probed struct {
		To       bfd.State
		Doubtful bool
	}
	// Spoke is what it says of itself now, or that it has fallen silent.
	Spoke struct{ Peer membership.Peer }
	// Advertised is a VRRP advert of one of its addresses.
	Advertised struct{}
	// Vanished says that its host answers no ARP or ND any more, or that it does again.
	// It counts while the peer's daemon is gone.
	Vanished struct{ Gone bool }
	// InheritedFlows says that a predecessor of this daemon sent it flows, by that MAC.
	// Proved is set if new ones too.
	InheritedFlows struct {
		MAC    [6]byte
		Proved bool
	}
)

func (Probed) event()         {}
func (Spoke) event()          {}
func (Advertised) event()     {}
func (Vanished) event()       {}
func (InheritedFlows) event() {}

// Output is what a step asks its caller to do, in order.
type Output interface{ output() }

type (
	// StateChanged is a new state. What the peer's haproxy is good for follows from it.
	StateChanged struct {
		Peer     *Peer
		From, To State
	}
	// LifeChanged is what the peer's session says of the host with these addresses, and so
	// whether its adverts count.
	LifeChanged struct {
		Peer  *Peer
		Addrs []netip.Addr
		Life  vrrp.Life
	}
	// ActiveLost says that the peer can be Active no more. Dead is set if it answers
	// nothing: the last one that was Active may have been it.
	ActiveLost struct {
		Peer *Peer
		Dead bool
	}
	// Doubted says that nothing arrives at this host.
	Doubted struct{}
	// Probing suspends or resumes its S-BFD session: the silence of a host whose daemon has
	// said goodbye means nothing.
	Probing struct {
		Peer *Peer
		On   bool
	}
	// Watching replaces whose hosts are watched though their daemons are gone.
	Watching struct{ Addrs []netip.Addr }
	// LeftToAdverts says that the peer answers no probes but is there, and by what that is
	// known: its session is given up.
	LeftToAdverts struct {
		Peer *Peer
		Sign string
	}
)

func (StateChanged) output()  {}
func (LifeChanged) output()   {}
func (ActiveLost) output()    {}
func (Doubted) output()       {}
func (Probing) output()       {}
func (Watching) output()      {}
func (LeftToAdverts) output() {}
