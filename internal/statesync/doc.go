// SPDX-License-Identifier: Apache-2.0

// Package statesync keeps this host's tables and those of its peers alike: the flow
// table of the data path, and the kernel's connection tracking where that is asked for.
// It also carries the hellos of package membership.
//
//	flow events ──┐                        ┌──> UDP 9406 ──> peers
//	              ├──> conntrack.Engine ───┤
//	kernel events ┘          ^    │        └──  UDP 9406 <── peers
//	                         │    v
//	                 flow table, connection tracking
//
// [Channel] joins them: sockets, tables and the pure engine, under one lock that is held
// for a piece of work at a time. Flow events are polled, kernel events read in batches.
// What a peer tells is put into the tables before the next datagram is looked at.
//
// The daemon's loop does not take that lock, since it renews the host's lease. It leaves
// facts: which peers there are, which of them live, the VIPs that this host is Active for.
// A goroutine of the channel adopts them:
//
//	loop ── SetPeers, SetAlive, SetScope, ... ──> facts ── adopt ──> Engine
//
// The one fact that the loop may have to wait for is that VIPs were given up: see
// [Channel.SetScope].
//
// Without keys, the channel carries hellos alone, which are not sealed.
package statesync
