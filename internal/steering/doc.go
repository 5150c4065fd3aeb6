// SPDX-License-Identifier: Apache-2.0

// Package steering works out where new flows go: from who there is and what they
// serve to the tables that the XDP program looks them up in.
//
//	targets             services                 sets             tables
//	.166 up     ──┐     VIP:80/tcp  ─ {166,167} ─┐
//	.167 up     ──┼──>  VIP:443/tcp ─ {166,167} ─┴─> set 0 ─> 0 1 1 0 1 0 … (16381 slots)
//	.168 drain  ──┘     VIP:53/udp  ─ {167}     ───> set 1 ─> 1 1 1 1 1 1 …
//	                    VIP:25/tcp  ─ {}        ───> NoSet: stays on this host
//
// A service's set is the targets that are up and serve it. Services with equal
// sets share a table, and a flow's hash picks a slot of it. All of it is a
// function of its input: no clock, no socket, nothing remembered but numbers and
// finished tables ([Planner]).
//
// # Equal on all hosts
//
// Which host a packet arrives at must not matter. So tables are made from the
// targets' addresses, which are the same everywhere, and hold places, which are a
// host's own numbers ([Places]): slot for slot, two hosts name the same address.
// The order in which targets are given does not matter either.
//
// # Maglev
//
// Tables are filled as in Eisenbud et al., "Maglev: A Fast and Reliable Software
// Network Load Balancer", NSDI 2016, section 3.4. Each target has an order of its
// own in which it would like the slots, and they take turns at choosing: shares
// differ by one slot at most. When a target goes, its slots are shared out and
// few others move. Measured (TestFillMovesLittle), of the slots that could stay
// 0.7 % move when one of 16 targets goes, 0.2 % with four, and none with two.
package steering
