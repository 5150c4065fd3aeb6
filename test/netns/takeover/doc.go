// SPDX-License-Identifier: Apache-2.0

// Package takeover measures what a client of a haproxy pair sees when
// something breaks.
//
// A client in the lab's client host opens a fresh HTTP connection to the VIP every
// millisecond and holds a hundred TCP connections through haproxy. Then a fault
// is injected, and when the standby has the VIP and the client has been served for a
// while, the attempts are read off:
//
//	start of attempts   | | | | x x x x x x x x | | | | | | |
//	                            ^               ^
//	                            first failed    first of those that succeed for good
//	                            <--- outage --->
//
// Attempts are placed by when they started, and one that is not answered
// in full within [AttemptTimeout] has failed. That is shorter than the first
// retransmission of a SYN (1 s) or of data (200 ms at least), so the client's own
// TCP cannot bridge an outage and hide it. Outages are known to a millisecond.
//
// The client is a process of its own, made by running the measuring program once
// more inside the client's namespace: neither's garbage collector nor sockets are
// in the way of the other. A program that measures therefore calls [ClientMain]
// first thing in its main (or TestMain).
//
// A held connection has survived when it echoes a byte within [ProbeTimeout]
// after things have settled. They rest between the fault and the probe,
// since a byte lost in the outage would be retransmitted too late to be counted. In a
// false alarm they do not rest: it is over before the retransmission.
// Those whose haproxy is on a host that the fault does not hit are counted apart:
// nothing has happened to their other end, so every one that is lost is the
// system's own doing. The lab's echo server knows whose they are.
//
// A system is put on a pair, or on a group of hosts ([lab.System]): the standby is then
// the one that is to succeed the active host.
//
// Most faults hit the active host, and the VIP should move. Some hit the standby, or
// should leave the VIP where it is: the runner then waits for it to be there and for
// the client to be served. See [Fault.MovesVIP].
package takeover
