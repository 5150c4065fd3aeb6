// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"net/netip"
	"slices"

	"hafast/internal/steering"
)

// Desired is what the data path should be like.
type Desired struct {
	// Hold leaves targets and tables as they are, a predecessor's perhaps: a daemon
	// that has just been started does not know the peers yet, and would cut their
	// flows off. New targets get their places all the same, for flows to be stored.
	Hold bool
	// Interfaces carry VIPs and adverts, and lead to the peers.
	Interfaces []string
	Instances  []Instance
	// Locals are the host's own addresses, on which S-BFD is answered besides the VIPs.
	Locals []netip.Addr
	// MACs are the hardware addresses of Interfaces: frames for others are not sent on.
	MACs [][6]byte
	// Peers are whom liveness is exchanged with, in the order of the configuration.
	Peers []netip.Addr
	// Targets are this host's haproxy and the peers'.
	Targets []Target
	// Services are what the configuration names; nil for what the targets serve.
	Services []steering.Service
	Policy   steering.Policy
}

// Instance is VIPs that move together.
type Instance struct {
	Name string
	VIPs []netip.Addr
}

// Target is a haproxy.
type Target struct {
	// Addr is its host's own address.
	Addr netip.Addr
	// Local is this host's haproxy.
	Local bool
	// MAC is the hardware address of the interface that carries Addr.
	MAC   [6]byte
	State steering.State
	// Serves is what it serves; All is whatever there is.
	Serves []steering.Service
	All    bool
}

// clone protects it from later changes by its maker.
func (w Desired) clone() Desired {
	w.Interfaces = slices.Clone(w.Interfaces)
	w.Instances = slices.Clone(w.Instances)
	w.Locals = slices.Clone(w.Locals)
	w.MACs = slices.Clone(w.MACs)
	w.Peers = slices.Clone(w.Peers)
	w.Targets = slices.Clone(w.Targets)
	return w
}
