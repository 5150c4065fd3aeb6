// SPDX-License-Identifier: Apache-2.0

// Package wires tests hafast on the ways in which hosts are connected: what each wire does
// to frames that the XDP program sends on is not what another does. Its rule is that no
// pair may serve fewer new connections than it would without hafast, on any wire: where
// frames do not arrive at the peer, they stay, and status says why.
//
//	client ── wire ──┬── haa: haproxy, hafast
//	                 └── hab: haproxy, hafast
//
// Each haproxy answers with the name of its host. Some wires need what not every kernel
// has (802.1Q, bonds): those are for the guests of test/kernels, and are skipped elsewhere.
package wires
