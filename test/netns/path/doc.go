// SPDX-License-Identifier: Apache-2.0

// Package path measures what it costs to have a flow served by another host than
// the one its packets arrive at.
//
//	                     client
//	                       |
//	         +-------------+--------------+
//	         v                            v
//	haa, has the VIP  - - - - - - ->  hab, haproxy and a UDP sink
//	          \____ one of the ways ___/
//
// The ways from haa to hab:
//
//   - hafast: the XDP program sends each packet on; hab answers the client directly.
//     Haproxy does not run on haa, whose priority stands anyhow, so every flow is hab's.
//   - nft dnat: the kernel's connection tracking sends the flow on to hab's own address
//     and masquerades, so that answers come back through haa and are put right there.
//     Without that hab would answer the client itself, from an address it never asked.
//   - nft fwd: netfilter's counterpart of direct return, without state: the packet
//     gets hab's hardware address at haa's ingress and leaves again. It knows nothing
//     of flows or health and is here for what the kernel can do at best.
//
// And for comparison:
//
//   - direct: the client asks hab itself. What the others need beyond this is the
//     detour's price.
//   - keepalived: haa serves the VIP with a haproxy of its own; nothing is sent on.
//
// Processor time is that of the whole machine over what arrived (see package load),
// and what is quoted for a way is also given beyond that of "direct".
package path
