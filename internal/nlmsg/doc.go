// SPDX-License-Identifier: Apache-2.0

// Package nlmsg is what all netlink protocols share (RFC 3549 section 2.3,
// linux/netlink.h): messages, attributes, answers.
//
//	Receive ──> datagram ──> Messages ──> Message ──> Attrs ──> type, value
//	                                         └──> Errno, of NLMSG_ERROR and NLMSG_DONE
//	Builder: Begin, Attr, Nest, EndNest, End, Begin, ... ──> Bytes ──> one sendto
//
// What a protocol's header and attributes mean is its user's business; so are
// opening sockets and sending.
//
// Nothing here allocates, but for a Builder's buffer while it grows. Messages and
// values are parts of the buffer that they were read from: valid until it is used
// again. Lengths are never trusted: what is malformed ends a walk, as what follows
// it cannot be found.
package nlmsg
