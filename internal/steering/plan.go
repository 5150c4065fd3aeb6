// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"bytes"
	"slices"
)

// Layout is what the data path is given.
type Layout struct {
	// Services are ordered by Service.Compare.
	Services []Assigned
	// Tables are indexed by Assigned.Set; each has Size slots that hold a place or
	// NoTarget. They are the Planner's: to be read only.
	Tables [][]uint8
	// Overflow is what a limit left out, and is to be logged.
	Overflow []Overflow
}

// Assigned is a service and where its new flows go.
type Assigned struct {
	Service
	// Set is an index of Layout.Tables, or NoSet: new flows stay on this host.
	Set uint16
	// ID is the service's number, see Planner.
	ID uint16
}

// Overflow is a service that did not fit.
type Overflow struct {
	Service
	Limit Limit
}

// Limit is a size of the data path that was reached. Its text is for the log.
type Limit string

const (
	// LimitServices: the family has more than MaxServices. The service is not in
	// the layout, and its packets stay on the host they arrive at.
	LimitServices Limit = "too many services"
	// LimitSets: there are more than MaxSets different sets of targets. The service
	// has NoSet.
	LimitSets Limit = "too many different sets of targets"
)

// Plan lays out the services over the targets. Without explicit services, nil,
// they are what the targets serve between them, whatever their states: flows of a
// service go on when the last target that takes new ones is gone.
//
// Of targets that share an address or a place the first counts, and one whose
// place is not under MaxTargets takes no flows. Where a limit is reached, the
// services that come first by Service.Compare are kept.
func (p *Planner) Plan(targets []Target, services []Service, policy Policy) Layout {
	targets = usable(targets)
	services, overflow := limited(wanted(targets, services))
	layout := Layout{Services: make([]Assigned, len(services)), Overflow: overflow}
	ids := p.numbers.assign(services)
	candidates := candidates(targets, services, policy)
	sets := make(map[mask]uint16)
	p.tables.begin()
	for i, s := range services {
		a := Assigned{Service: s, Set: NoSet, ID: ids[i]}
		if m := candidates[i]; m != 0 {
			set, known := sets[m]
			switch {
			case known:
				a.Set = set
			case len(layout.Tables) == MaxSets:
				layout.Overflow = append(layout.Overflow, Overflow{s, LimitSets})
			default:
				a.Set = uint16(len(layout.Tables))
				sets[m] = a.Set
				layout.Tables = append(layout.Tables, p.tables.get(members(targets, m)))
			}
		}
		layout.Services[i] = a
	}
	return layout
}

// mask has a bit for each of a Plan's targets, by index.
type mask uint16

// usable returns the targets that have an address and a place to themselves,
// sorted by address as fill wants them, each with its services in order.
func usable(targets []Target) []Target {
	var out []Target
	var taken [MaxTargets]bool
	seen := make(map[[16]byte]bool)
	for _, t := range targets {
		if !t.Addr.IsValid() || t.Place >= MaxTargets || taken[t.Place] || seen[t.Addr.As16()] {
			continue
		}
		taken[t.Place], seen[t.Addr.As16()] = true, true
		t.Serves = ordered(t.Serves)
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Target) int {
		x, y := a.Addr.As16(), b.Addr.As16()
		return bytes.Compare(x[:], y[:])
	})
	return out
}

// wanted returns the services to lay out, in order.
func wanted(targets []Target, services []Service) []Service {
	if services != nil {
		return ordered(services)
	}
	var out []Service
	for _, t := range targets {
		out = union(out, t.Serves)
	}
	return out
}

// limited cuts each family down to MaxServices.
func limited(services []Service) ([]Service, []Overflow) {
	var overflow []Overflow
	var count [2]int
	kept := make([]Service, 0, len(services))
	for _, s := range services {
		family := 0
		if !s.VIP.Is4() {
			family = 1
		}
		if count[family]++; count[family] > MaxServices {
			overflow = append(overflow, Overflow{s, LimitServices})
			continue
		}
		kept = append(kept, s)
	}
	return kept, overflow
}

// candidates returns for each service who is to have its new flows.
func candidates(targets []Target, services []Service, policy Policy) []mask {
	out := make([]mask, len(services))
	var local mask
	for i, t := range targets {
		bit := mask(1) << i
		if t.Local {
			local |= bit
		}
		switch {
		case t.State != Up:
		case t.All || slices.Equal(t.Serves, services):
			for j := range out {
				out[j] |= bit
			}
		default:
			common(services, t.Serves, func(j int) { out[j] |= bit })
		}
	}
	if policy == Local {
		for j := range out {
			if own := out[j] & local; own != 0 {
				out[j] = own
			}
		}
	}
	return out
}

// members are the targets of a set, in their order.
func members(targets []Target, of mask) []member {
	var out []member
	for i, t := range targets {
		if of&(1<<i) != 0 {
			out = append(out, member{addr: t.Addr.As16(), place: t.Place})
		}
	}
	return out
}
