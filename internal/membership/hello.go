// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"unicode"
	"unicode/utf8"

	"hafast/internal/steering"
)

// Bounds of a hello. All at their largest, it is under MaxSize.
const (
	// MaxServices is of each family.
	MaxServices  = steering.MaxServices
	MaxAddresses = 64
	MaxLegs      = 16
	// MaxRouters is how many of its virtual routers a host says where it stands in.
	MaxRouters = 256
	// MaxText bounds each text, in bytes.
	MaxText = 255
	// MaxSize is the size of the largest hello, in bytes. It is sent in fragments,
	// as few networks carry so much in one packet; an ordinary hello, of a few
	// dozen services, is a single one.
	MaxSize = 60_000
)

// State is how a host stands towards new flows.
type State uint8

// The values are those on the wire; zero is none.
const (
	// Up: takes new flows.
	Up State = iota + 1
	// Drain: serves the flows that it has.
	Drain
	// Down: serves nothing, such as with a dead haproxy.
	Down
	// Stopping: the daemon is leaving, and this is its last word.
	Stopping
)

// String is the state's name as status shows it.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Drain:
		return "drain"
	case Down:
		return "down"
	case Stopping:
		return "stopping"
	default:
		return "unknown"
	}
}

// Hello is all that a host says of itself.
type Hello struct {
	// Software is the version of its hafast, for people to read.
	Software string
	Node     string
	// Boot tells one start of a daemon from another; it is random and never 0.
	// Sequence counts the hellos of a Boot. Exchange fills in both.
	Boot, Sequence uint64
	State          State
	// Reason says why State is what it is; empty for Up.
	Reason string
	// Left is how many connections are still with its haproxy, of interest while
	// it drains or stops.
	Left uint32
	// MAC is that of the interface which carries its peer-facing address.
	MAC [6]byte
	// Addresses are its own ones, of all interfaces that take part: adverts come
	// from these.
	Addresses []netip.Addr
	// Legs are what it knows of the ways from the other hosts.
	Legs []Leg
	// Routers are where it stands in the election of each virtual router.
	Routers []Router
	// Services are what its haproxy serves, ordered by steering.Service.Compare.
	Services []steering.Service
}

// Leg is the way of flows that one host's XDP program sends on to the one whose hello this
// is. It is told only once there is something to say.
type Leg struct {
	// From is the LegKey of the host that sends on.
	From uint32
	// Arrives: what that host sends on arrives.
	Arrives bool
	// Forwards: that host's probes arrive here, and are sent back to it.
	Forwards bool
}

// LegKey stands for a start of a daemon among the legs: 30 bits of its boot id.
func LegKey(boot uint64) uint32 { return uint32(boot>>34 ^ boot&legKeyMask) }

const legKeyMask = 1<<30 - 1

// Leg is what the host says of the way from a daemon with this boot id to itself.
func (h Hello) Leg(boot uint64) (leg Leg, ok bool) {
	for _, l := range h.Legs {
		if l.From == LegKey(boot) {
			return l, true
		}
	}
	return Leg{}, false
}

// Router is where a host stands in the election of one virtual router.
type Router struct {
	// Key is the same on all hosts; see RouterKey.
	Key uint32
	// Priority is the effective one; 0: out of service.
	Priority uint8
	Standing Standing
}

// Standing is what a host is in an election.
type Standing uint8

// The values are those on the wire.
const (
	// Apart: it takes no part.
	Apart Standing = iota
	// Following: it is a Backup, and as far as it knows somebody is Active.
	Following
	// Seeking: it is a Backup, and knows of no Active that lives.
	Seeking
	// Leading: it is Active.
	Leading

	standings = Leading + 1
)

// RouterKey stands for a virtual router among all hosts' ones: a hash of its VRID and its
// VIPs in ascending order. Interfaces have other names on other hosts.
func RouterKey(vrid uint8, vips []netip.Addr) uint32 {
	h := fnv.New32a()
	h.Write([]byte{vrid})
	for _, a := range slices.SortedFunc(slices.Values(vips), netip.Addr.Compare) {
		h.Write(a.AsSlice())
	}
	return h.Sum32()
}

// Router is where the host says that it stands in the election with this key.
func (h Hello) Router(key uint32) (router Router, ok bool) {
	for _, r := range h.Routers {
		if r.Key == key {
			return r, true
		}
	}
	return Router{}, false
}

// same reports whether two hellos say the same, whatever their numbers.
func (h Hello) same(o Hello) bool {
	return h.sameButLeft(o) && h.Left == o.Left
}

func (h Hello) sameButLeft(o Hello) bool {
	return h.Software == o.Software && h.Node == o.Node && h.Boot == o.Boot &&
		h.State == o.State && h.Reason == o.Reason && h.MAC == o.MAC &&
		slices.Equal(h.Addresses, o.Addresses) && slices.Equal(h.Legs, o.Legs) && slices.Equal(h.Routers, o.Routers) &&
		slices.Equal(h.Services, o.Services)
}

// check holds a hello to what may be sent and is accepted. The error is a Reject.
func (h Hello) check() error {
	for _, text := range []string{h.Software, h.Node, h.Reason} {
		if !printable(text) {
			return RejectText
		}
	}
	switch {
	case h.Boot == 0 || h.State < Up || h.State > Stopping:
		return RejectValue
	case len(h.Addresses) > MaxAddresses, len(h.Legs) > MaxLegs, len(h.Routers) > MaxRouters:
		return RejectCount
	}
	for _, l := range h.Legs {
		if l.From > legKeyMask {
			return RejectValue
		}
	}
	for _, r := range h.Routers {
		if r.Standing >= standings {
			return RejectValue
		}
	}
	for _, a := range h.Addresses {
		if !unicast(a) {
			return RejectValue
		}
	}
	return checkServices(h.Services)
}

func checkServices(list []steering.Service) error {
	count := 0
	for i, s := range list {
		switch {
		case !unicast(s.VIP) || s.Port == 0 || s.Proto != steering.TCP && s.Proto != steering.UDP:
			return RejectValue
		case i > 0 && list[i-1].Compare(s) >= 0:
			return RejectOrder
		case i > 0 && list[i-1].VIP.Is4() != s.VIP.Is4():
			count = 0
		}
		if count++; count > MaxServices {
			return RejectCount
		}
	}
	return nil
}

// unicast reports whether an address can be a host's, written in the one way that
// compares equal everywhere.
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

// printable reports whether a text can go into a log and onto a terminal as it is.
func printable(s string) bool {
	if len(s) > MaxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
