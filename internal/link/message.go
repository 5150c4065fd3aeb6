// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"hafast/internal/nlmsg"
)

// requests are messages under construction that are numbered one after another.
type requests struct {
	nlmsg.Builder
	// seq is the number of the last one.
	seq uint32
}

// begin starts a request of the given type with the protocol's header.
func (r *requests) begin(typ, flags uint16, header ...byte) {
	r.seq++
	r.Begin(typ, flags|unix.NLM_F_REQUEST, r.seq, header...)
}

// family is the address family number of an address.
func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
