// SPDX-License-Identifier: Apache-2.0

// Package flowsync measures what it costs to keep the XDP program's flows at two hosts,
// how far behind the other host is, and how long one takes that comes back.
//
//	   client                     haproxy pair
//	+-----------+         +----------------------------+
//	| generator |  eth0   | haa  Active; stores flows, |
//	| probe     |---------|      tells of them (9406)  |
//	+-----------+         +----------------------------+
//	                 |    | hab  writes replicas       |
//	                 +----+----------------------------+
//
// The generator writes raw frames to the VIP, each from another client: a datagram, or
// an ACK that belongs to no connection here. Either makes a flow at once, the ACK by the
// second chance. The clients have addresses that nobody has a route to, so that
// whatever a host's stack thinks of the packets goes nowhere.
//
//   - [Runner.Load]: what a new flow costs the daemons, what the lag is with and without
//     load, and whether all flows have arrived.
//   - [Runner.Resync]: how long a host without any flows takes to have a big table.
//
// # What a flow costs
//
// The processor time of the daemons is known from their processes, what they use while
// there are no new flows is taken off. It has in it what the kernel does in their system
// calls, and what the softirqs do that happen to run on top of them: a datagram travels
// to its receiver's socket at the expense of its sender, and a frame of the generator's
// goes through the XDP program at the expense of whoever runs when its turn comes, mostly
// the generator. The flow's way through the program is not in it.
//
// # Where a flow is
//
// Flows are looked for in the maps that the daemons have pinned, which is what packets
// meet. What the daemons say of themselves is told apart from that.
package flowsync
