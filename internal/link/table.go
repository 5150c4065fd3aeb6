// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"
)

// table is a mirror of the kernel's interfaces and addresses, kept up to date
// message by message.
type table struct {
	links map[int]linkInfo
	// addrs holds each interface's addresses in the kernel's order.
	addrs map[int][]addrInfo
}

func newTable() *table {
	return &table{links: map[int]linkInfo{}, addrs: map[int][]addrInfo{}}
}

func (t *table) setLink(l linkInfo) { t.links[l.index] = l }

func (t *table) removeLink(index int) {
	delete(t.links, index)
	delete(t.addrs, index)
}

// setAddr adds or updates an address. An address that is not usable counts as absent.
func (t *table) setAddr(a addrInfo) {
	if !a.usable {
		t.removeAddr(a.index, a.prefix)
		return
	}
	list := t.addrs[a.index]
	if i := slices.IndexFunc(list, func(have addrInfo) bool { return have.prefix == a.prefix }); i >= 0 {
		list[i] = a
		return
	}
	t.addrs[a.index] = append(list, a)
}

func (t *table) removeAddr(index int, prefix netip.Prefix) {
	t.addrs[index] = slices.DeleteFunc(t.addrs[index], func(have addrInfo) bool { return have.prefix == prefix })
}

// byName is the state of the interface of that name.
func (t *table) byName(name string) (State, bool) {
	for _, l := range t.links {
		if l.name == name {
			return t.state(l), true
		}
	}
	return State{}, false
}

func (t *table) state(l linkInfo) State {
	s := State{Name: l.name, Index: l.index, MAC: l.mac, Up: l.up, MTU: l.mtu}
	list := t.addrs[l.index]
	s.Addrs = make([]netip.Prefix, 0, len(list))
	for _, secondary := range []bool{false, true} {
		for _, a := range list {
			if a.secondary == secondary {
				s.Addrs = append(s.Addrs, a.prefix)
			}
		}
	}
	return s
}
