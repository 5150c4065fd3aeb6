// SPDX-License-Identifier: Apache-2.0

// Package vrrp is the Virtual Router Redundancy Protocol as values: a codec for
// version 3 (RFC 9568, IPv4 and IPv6) and version 2 (RFC 3768, IPv4), and the
// election as a state machine that is stepped.
//
// Nothing in here opens a socket, reads a clock or starts a goroutine. Time
// comes in with every step and goes out as the next deadline:
//
//	    packet ──> Parse ──> Advert ─┐
//	   health ──> SetPriority ───────┤
//	     link ──> Fault, Recover ────┼──> Router.Step(now, …) ──> []Output
//	deadline ──> Tick ───────────────┘          │                   Send, Acquire,
//	                                            v                   Release, Changed, …
//	                                    Router.Deadline()
//
// [Machine] is one virtual router. [Router] is all those of a host: it finds the
// machine an advertisement is meant for and keeps sync groups together.
//
// # Where this differs from RFC 9568
//
// An Active that wants to go does not drop its addresses when it sends priority
// 0 (section 6.4.3): it keeps them until the advertisement of a successor
// arrives, so that nothing is unanswered in between. A router that is out of
// service (its haproxy is dead, or it is drained) takes part with priority 0: it
// yields to anyone, never preempts, and is still there when nobody else is.
// When an Active's priority falls it sends priority 0 followed by the new
// priority: a Backup that would preempt is woken at once, any other is not.
// One that yields to a better Active sends its advertisement once more, so that
// the other announces the addresses again if the two were cut off from each
// other. Priority 0 that is repeated does not start a Backup's skew anew.
// One that is not ready ([Defer]) preempts nobody, whatever its priority.
// A Backup bears the silence of an Active for three seconds while its host is known to
// be alive and in service by other means (see [Router.SetLife]).
// An advertisement may be sent up to a 64th of its interval early, together with
// one that is due.
package vrrp
