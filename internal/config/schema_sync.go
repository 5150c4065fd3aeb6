// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"strings"
)

func syncFields() []field[Sync] {
	return []field[Sync]{
		required("key_file", path(), "The pre-shared key, from `hafast keygen`; readable by its owner alone.", func(s *Sync) *string { return &s.KeyFile }),
		optional("conntrack", boolean(), "false", "Replicates the kernel's connection tracking table too.", func(s *Sync) *bool { return &s.Conntrack }),
		derived("listen", address(), "as the route to each peer has it", "This host's address on the sync link.", func(s *Sync) *netip.Addr { return &s.Listen }),
		derived("peers", list(address()), "those of `peers` at the top that are of the family of `listen`", "The other hosts' addresses on the sync link.", func(s *Sync) *[]netip.Addr { return &s.Peers }),
		none("filter", section(filterFields()), "Which entries of the connection tracking table are replicated.", func(s *Sync) *Filter { return &s.Filter }),
	}
}

func filterFields() []field[Filter] {
	return []field[Filter]{
		selection("protocols", protocols, defaultProtocols, "Connections of these alone.", func(f *Filter) *[]string { return &f.Protocols }),
		none("ignore", list(network()), "Connections with one of these addresses are left out, as are those with loopback and the hosts' own addresses anyway.", func(f *Filter) *[]netip.Prefix { return &f.Ignore }),
		selection("tcp_states", tcpStates, defaultTCPStates, "TCP connections have a replica in these states alone.", func(f *Filter) *[]string { return &f.TCPStates }),
	}
}

// selection is a key that takes some of a few words, and has some of them unless it
// is set.
func selection[T any](key string, words, initial []string, doc string, at func(*T) *[]string) field[T] {
	k := list(oneOf(words...))
	k.initial = func() []string { return append([]string(nil), initial...) }
	return derived(key, k, fmt.Sprintf("`[%s]`", strings.Join(initial, ", ")), doc, at)
}
