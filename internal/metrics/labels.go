// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"hafast/pkg/vrrp"
)

// other stands for a word outside its set.
const other = "other"

// unknown is the state of what nobody has seen, and of what is in no state that
// is known here.
const unknown = "unknown"

// Kinds of announcement, for Announced.
const (
	KindARP = "arp" // gratuitous ARP
	KindNA  = "na"  // unsolicited neighbour advertisement
)

// Kinds of rival claim, for RivalClaim; KindARP and KindNA are two more.
const (
	KindAdvert = "advert" // a VRRP advert of another Active
)

// Phases of a takeover, for TakeoverPhase, in their order.
const (
	PhaseDecide   = "decide"   // from the event that decided it to the decision
	PhaseState    = "state"    // what the peers told of the connections is in place, with state sync
	PhaseGate     = "gate"     // requests for the addresses get through, where there is a data path
	PhaseAddress  = "address"  // addresses on the interface
	PhaseRoutes   = "routes"   // routes in place, for an instance that has some
	PhaseAnnounce = "announce" // gratuitous ARP and unsolicited NA sent
	PhaseTotal    = "total"    // all of the above
)

// set is a closed set of label values.
type set []string

// bound returns word if it is in the set, and "other" if not.
func (s set) bound(word string) string {
	if slices.Contains(s, word) {
		return word
	}
	return other
}

// boundToLast returns word if it is in the set, and its last one if not.
func (s set) boundToLast(word string) string {
	if slices.Contains(s, word) {
		return word
	}
	return s[len(s)-1]
}

// labelSets are the closed sets of one Metrics.
type labelSets struct {
	states, causes, reasons, phases, announcements, rivals set
}

func newLabelSets() labelSets {
	var l labelSets
	for _, state := range []vrrp.State{vrrp.Init, vrrp.Backup, vrrp.Active, vrrp.Fault} {
		l.states = append(l.states, state.String())
	}
	for _, reason := range vrrp.Rejects() {
		l.reasons = append(l.reasons, string(reason))
	}
	for _, cause := range vrrp.Causes() {
		l.causes = append(l.causes, string(cause))
	}
	l.phases = set{PhaseDecide, PhaseState, PhaseGate, PhaseAddress, PhaseRoutes, PhaseAnnounce, PhaseTotal}
	l.announcements = set{KindARP, KindNA}
	l.rivals = set{KindARP, KindNA, KindAdvert}
	return l
}
