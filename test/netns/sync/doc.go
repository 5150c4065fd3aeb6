// SPDX-License-Identifier: Apache-2.0

// Package replication measures how the kernel's connections are replicated among two
// routers, and what becomes of held connections when the routers change over.
//
//	  client                      router pair                      web
//	+----------+  inside   +--------------------------+  outside  +--------+
//	|  load    |           | haa  SNAT, drop unknown  |           |        |
//	|  held    |-----------| daemon, daemons          |-----------| server |
//	|  probe   |           +------------+-------------+           +--------+
//	+----------+           |        sync link         |
//	                       +------------+-------------+
//	                       | hab, the same            |
//	                       +--------------------------+
//
// The measures, each in a lab of its own (Turns in two), so that nothing is left over
// from another:
//
//   - [Runner.Rate]: connections per second, and what each costs ([Cost]).
//   - [Runner.Turns]: the rate beside that of the same system without replication, by turns.
//   - [Runner.Lag]: how long after a connection is established the other router knows it.
//   - [Runner.Resync]: how long a router that comes back needs to know a big table, and
//     how long nothing goes through when the other one dies then.
//   - [Runner.Moves]: what becomes of held connections while the routers change over.
//
// # What a connection costs
//
// The processor time of the daemons is known from their processes. It has in it what the
// kernel does in their system calls, and what the softirqs do that happen to run on top
// of them: a datagram travels to its receiver's socket at the expense of its sender. But
// replication costs the kernel more, at nobody's expense or anybody's: an event for each
// change is written while the packet that causes it is forwarded, for the client or the
// server. All hosts share one kernel, and no account has that apart. So a paced load is
// put on, the same for all systems, and the time that the machine's processors were
// not idle is divided by the connections; what a system costs is the difference to the
// system none, under which nobody listens and the kernel makes no events. The machine's
// idle time is measured by the kernel when it goes idle (CONFIG_NO_HZ_IDLE), not sampled.
//
// # Where an entry is
//
// A system that keeps what the peer tells in the kernel's table has an entry when the
// kernel of the other router has it, established. conntrackd keeps it in a cache of its
// own, from which it is committed to the kernel when its router becomes Active; it has
// an entry when its client command shows it, established, and can be asked for all it
// has only: an answer takes longer the more that is, so it is asked while there
// is little.
package replication
