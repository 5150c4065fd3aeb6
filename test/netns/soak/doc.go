// SPDX-License-Identifier: Apache-2.0

// Package soak lets a pair stand for a long time on a machine that has better things to
// do, and counts what it must not do: take a living peer for dead.
//
//	haa, hab: hafast, 2 ms x 3        every processor: a process that does nothing
//	        |                         but keep it busy, at the ordinary priority
//	        v
//	after so long: transitions, lapses, and rows of unanswered probes by length
package soak
