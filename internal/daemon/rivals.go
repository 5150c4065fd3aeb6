// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"hafast/internal/announce"
	"hafast/internal/control"
	"hafast/pkg/vrrp"
)

// defend tells the watch on rivals which addresses are ours now. It does so once
// for all transitions of an event: 255 instances may move together.
func (l *loop) defend() {
	if !l.exposed {
		return
	}
	l.exposed = false
	watched := announce.Watched{
		Interfaces: make(map[int]string),
		VIPs:       make(map[netip.Addr]struct{}),
		MACs:       make(map[[6]byte]struct{}),
	}
	for name, state := range l.links {
		watched.Interfaces[state.Index] = name
		if len(state.MAC) == 6 {
			watched.MACs[[6]byte(state.MAC)] = struct{}{}
		}
	}
	for _, in := range l.instances {
		if mac := in.virtualMAC(); mac != nil {
			watched.MACs[*mac] = struct{}{}
		}
		if l.router.State(in.Name) != vrrp.Active {
			continue
		}
		for _, a := range in.addresses() {
			watched.VIPs[a] = struct{}{}
		}
	}
	if err := l.guard(watched); err != nil {
		l.log.Error("rivals' claims will go unnoticed", "error", err)
	}
}

// rivalGrace is how long a claim waits for the advert that explains it: they come
// in on different sockets, and a successor's announcement must not be answered.
const rivalGrace = 5 * time.Millisecond

// claimStands is a claim whose grace is over.
type claimStands struct{ announce.Claim }

// rivalClaimed takes note of another host's claim to an address that is ours.
func (l *loop) rivalClaimed(c announce.Claim) {
	in := l.holder(c.Addr)
	if in == nil || l.router.State(in.Name) != vrrp.Active {
		return
	}
	l.metrics.RivalClaim(in.Name, c.Kind)
	if in.accused {
		return
	}
	in.accused = true
	l.later(rivalGrace, claimStands{c})
}

// claimStands answers a claim, if the address is still ours.
func (l *loop) claimStands(now time.Time, c announce.Claim) {
	in := l.holder(c.Addr)
	if in == nil {
		return
	}
	in.accused = false
	machine := l.router.Machine(in.Name)
	if machine.State() != vrrp.Active || machine.Priority() == vrrp.PriorityStop {
		return // gone, or resigning: whoever claims it is welcome
	}
	l.owner.Reannounce(in.Name)
	if held, ok := l.quiet.Pass(now, "rival "+in.Name); ok {
		cause := fmt.Sprintf("%s claims %s by %s on %s", c.MAC, c.Addr, c.Kind, c.Interface)
		if held > 0 {
			cause += fmt.Sprintf(" (and %d more)", held)
		}
		l.record(now, control.Event{Kind: "rival", Instance: in.Name, Cause: cause})
	}
}

// holder is the instance whose VIP the address is; nil if there is none.
func (l *loop) holder(addr netip.Addr) *instance {
	for _, in := range l.instances {
		if in.has(addr) {
			return in
		}
	}
	return nil
}
