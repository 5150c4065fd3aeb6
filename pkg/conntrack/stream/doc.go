// SPDX-License-Identifier: Apache-2.0

// Package stream carries batches from one host to another, each once and in order,
// over datagrams that may be lost, repeated and mixed up.
//
// Nothing in here opens a socket, reads a clock or starts a goroutine. Payloads are
// opaque. Time comes in with every call and goes out as the next deadline:
//
//	 outbox ──> Sender.Push ──> Sender.Next ──> datagrams ──> Receiver.Receive ──> table
//	                 ^                                               │
//	                 └── Sender.Ack <── datagrams <── Receiver.Ack <─┘
//	deadline ──> Sender.Tick ──> Sender.Tip ──> datagrams ──> Receiver.Tip
//
// A [Sender] and a [Receiver] are one direction of one peer. Batches are numbered
// from 1 in an epoch; a new epoch begins the stream anew and drops what was under
// way. Numbers are 64 bits wide and epochs 32: neither ever wraps, so they are
// compared plainly. Both ends belong to one session: when the peer's daemon has
// restarted, the caller makes a new Receiver and begins a new epoch.
//
// # Loss
//
// The receiver tells the lowest number it lacks and the gaps above. A gap is told
// once it is 2 ms old, for it may be reordering. Gaps are told in the order of their
// numbers, which is also that of their age. So the sender knows that whatever lies
// below the last gap told, and is in none, has arrived. If more has arrived above, a
// range follows that begins there and has no end.
//
// A batch that is reported missing is sent again at once; the next time not before a
// round trip has passed. When the last batch is lost nothing comes after it that would
// show a gap: then, a retransmission timeout after the acks have stopped, the sender
// tells how far it has sent (the tip), and the receiver answers at once. If it does
// not, tips come ever less often, down to one a second, each with the lowest batch.
//
// # Pace
//
// What is on its way at once is limited by a window as in TCP (RFC 5681): it doubles
// each round trip until there is loss, halves then, and grows by one each round trip
// from there. It lies between 32 batches, which the smallest default socket buffer
// takes, and 256. The lower bound is far above that of TCP, because this is one stream
// on a short link between two hosts and not one of many that share the Internet: at
// 50 % loss it still fills the gaps and goes on. A window that has not been used up
// does not grow, and one that was idle begins anew with 32.
package stream
