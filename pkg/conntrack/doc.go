// SPDX-License-Identifier: Apache-2.0

// Package conntrack keeps the flow state of several hosts alike, so that each of them
// can take over from another at any moment.
//
// [Engine] is a value that is stepped. Changes of this host's tables, datagrams and the
// time go in; datagrams come out, and changes that peers told go to the [Table]s. It
// opens no socket, reads no clock and starts no goroutine. One goroutine drives it:
//
//	XDP, nf_conntrack ──Flow, Entry──> ┌ Engine ──────────────────────┐
//	                                   │ session, one for each peer   │
//	                     Table.Walk <──│  outgoing  outbox, walk ──> stream.Sender ──┐
//	                    Table.Apply <──│  incoming  intake <── stream.Receiver <──┐  │
//	                    Table.Sweep <──└──────────────────────────────┘           │  │
//	deadline ──Step──> datagrams ──> UDP ──> peers                       wire.Opener Sealer
//	peers ──> UDP ──> Receive
//
// After whatever was called, Step does what is due and puts datagrams out, and Deadline
// says when it is due next. Changes that are known are told to the engine before it is
// stepped.
//
// # What is told
//
// News wait in an [Outbox] for a few milliseconds, and leave as the
// latest state; what came and went meanwhile does not leave. A walk tells all of a table,
// between a Begin and an End, in one stream with the news: as the resync that opens each
// epoch of the stream, as fast as the peer takes it; after that as an audit, spread over a
// minute. What the peer holds of the walk's VIPs and was not told, it drops. So a lost
// change of any kind lives for a period at most, and is counted.
//
// Nothing is ever given up in silence. If more changes wait than the outbox holds, if a
// peer has acknowledged nothing for 3 s, has started anew, could not understand a batch
// or asks for it, or if this host has missed changes of its own, a new epoch begins. It is
// announced at once, and from then on the peer knows that it is not in sync.
//
// # Who is right
//
// A host tells in its walks only of VIPs that it is Active for, and deletes nothing at
// its peers of others. A host that is not Active for a VIP takes what it is told; one that
// is keeps what has been used here since (the younger wins), and has nothing deleted. Both
// go on for a VIP that it has ceased to hold until each peer has got what it knew of it:
// after a split brain nothing is lost by the one that resigns.
//
// # Taking over
//
// A host is in sync with a peer ([Engine.State]) when all that the peer was Active for has
// been told once in this epoch. When an Active resigns, it sets its scope, and the next
// batch says so behind all the news: a successor asks [Engine.Settled] whether that has
// been applied.
//
// # Who may speak
//
// A session begins once a datagram has come that is addressed to this start of this
// daemon, which no recording can be: see package wire. What a peer can make this host hold
// is bounded by [Limits], and what others can by nothing at all: they get no further than
// the authentication.
package conntrack
