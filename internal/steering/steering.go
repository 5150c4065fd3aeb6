// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"cmp"
	"net/netip"
)

// Sizes that the XDP program is built with; see bpf/abi.h.
const (
	// MaxTargets is how many targets, this host's own included, there can be.
	MaxTargets = 16
	// MaxSets is how many different sets of targets, and so tables, there can be.
	MaxSets = 64
	// Size is the number of slots of a table. It is prime, so that every step
	// visits every slot.
	Size = 16381
	// NoTarget is in a slot of a table without candidates.
	NoTarget = 0xff
	// NoSet is the set of a service that stays on this host.
	NoSet = 0xffff
)

// MaxServices is how many services of one family are laid out. It is half the
// places of the program's hash table: a fuller one has longer searches than the
// program makes.
const MaxServices = 2048

// IP protocol numbers of a Service.
const (
	TCP = 6
	UDP = 17
)

// Service is a port of a VIP.
type Service struct {
	VIP  netip.Addr
	Port uint16
	// Proto is TCP or UDP.
	Proto uint8
}

// Compare orders services by VIP (IPv4 first), port and protocol.
func (s Service) Compare(o Service) int {
	return cmp.Or(s.VIP.Compare(o.VIP), cmp.Compare(s.Port, o.Port), cmp.Compare(s.Proto, o.Proto))
}

// String is "10.0.0.9:443/tcp".
func (s Service) String() string {
	proto := "proto?"
	switch s.Proto {
	case TCP:
		proto = "tcp"
	case UDP:
		proto = "udp"
	}
	return netip.AddrPortFrom(s.VIP, s.Port).String() + "/" + proto
}

// State says what may be done with a target.
type State uint8

// The zero State is Down.
const (
	// Down: nothing is sent there.
	Down State = iota
	// Drain: the flows it has go on, new ones go elsewhere.
	Drain
	// Up: takes new flows.
	Up
)

// String is the state's name as status shows it.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Drain:
		return "drain"
	default:
		return "down"
	}
}

// Target is a haproxy that flows can be sent to.
type Target struct {
	// Addr is its host's own address. It makes the target what it is: tables
	// follow from it.
	Addr netip.Addr
	// Place is the target's number on this host, see Places; under MaxTargets.
	Place uint8
	State State
	// Serves is what it serves, in any order. With All it serves whatever there
	// is, and Serves only adds to what there is.
	Serves []Service
	All    bool
	// Local is this host's own.
	Local bool
}

// Policy says who gets new flows.
type Policy uint8

const (
	// Shared: everyone who is up and serves the service.
	Shared Policy = iota
	// Local: this host if it can, and everyone else only if not.
	Local
)

// String is the policy's name in the configuration.
func (p Policy) String() string {
	if p == Local {
		return "local"
	}
	return "shared"
}
