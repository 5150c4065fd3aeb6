// SPDX-License-Identifier: Apache-2.0

package conntrack

import (
	"slices"

	"hafast/pkg/conntrack/record"
)

// vips is a set of VIPs.
type vips map[record.Address]struct{}

func vipsOf(lists ...[]record.Address) vips {
	set := vips{}
	for _, list := range lists {
		for _, a := range list {
			set[a] = struct{}{}
		}
	}
	return set
}

func (v vips) has(a record.Address) bool {
	if len(v) == 0 {
		return false
	}
	_, ok := v[a]
	return ok
}

// without returns the addresses of a list that are not in the set.
func (v vips) without(list []record.Address) []record.Address {
	var out []record.Address
	for _, a := range list {
		if !v.has(a) {
			out = append(out, a)
		}
	}
	return out
}

// sorted returns a list in order and without repetitions.
func sorted(list []record.Address) []record.Address {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b record.Address) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
