// SPDX-License-Identifier: Apache-2.0

// Package membership tells the other hosts how this one is, and hears it of them:
// what each serves, whether it takes new flows, by which addresses it is known.
//
//	daemon's loop ──SetSelf──> Exchange ──hello──> Carrier ──> peers
//	     ^                        │  every 100 ms; upon a change at once and
//	     │                        │  three times more, 5 ms apart
//	     └──report(Peer)── Table <┘<──hello── Carrier <── peers
//	                         silent after 1 s
//
// [Table] is pure: hellos and the time go in, changed peers come out. [Exchange]
// joins it to a [Carrier], which sees to where hellos come from and whether they can
// be believed. [Hello] is what is said, and how it is written is in encode.go.
//
// # What is lost
//
// A hello says everything there is to say, so that a lost one is made good by the
// next; there is nothing to be acknowledged or asked for. Hellos of one start of
// a daemon are numbered: one that was overtaken is dropped. A host that falls
// silent keeps what it said last, marked as silent; whether it is dead is for
// liveness to say.
package membership
