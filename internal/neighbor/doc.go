// SPDX-License-Identifier: Apache-2.0

// Package neighbor knows whether a host is there whose daemon is not: its kernel answers
// for its hardware address for as long as it runs.
//
//	Watch ── Ask, every 500 ms ──> the kernel's neighbor table ── ARP or NS ──> the host
//	  │  six in a row unanswered while other frames arrive
//	  v
//	report: its flows can be given up
//
// A host whose daemon was stopped answers no S-BFD any more, but its haproxy may still have
// connections. Nobody takes anything over when such a host dies: it is for the connections,
// which are reset then instead of left hanging.
package neighbor
