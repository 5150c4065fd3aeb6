// SPDX-License-Identifier: Apache-2.0

package steering

import "slices"

// The lists of services that come in are usually in order and alike, and there may
// be thousands in each: so they are merged, not searched.

// ordered returns the services in order and each once: the list itself where it is
// so already.
func ordered(list []Service) []Service {
	for i := 1; i < len(list); i++ {
		if list[i-1].Compare(list[i]) >= 0 {
			out := slices.SortedFunc(slices.Values(list), Service.Compare)
			return slices.Compact(out)
		}
	}
	return list
}

// union merges two ordered lists.
func union(a, b []Service) []Service {
	if len(a) == 0 || slices.Equal(a, b) {
		return b
	}
	out := make([]Service, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		c := a[0].Compare(b[0])
		if c <= 0 {
			out = append(out, a[0])
			a = a[1:]
		} else {
			out = append(out, b[0])
		}
		if c >= 0 {
			b = b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// common calls found with the index in list of each service that is also in other.
// Both are ordered.
func common(list, other []Service, found func(int)) {
	for i := 0; i < len(list) && len(other) > 0; {
		c := list[i].Compare(other[0])
		if c == 0 {
			found(i)
		}
		if c <= 0 {
			i++
		}
		if c >= 0 {
			other = other[1:]
		}
	}
}
