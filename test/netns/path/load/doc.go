// SPDX-License-Identifier: Apache-2.0

// Package load puts load on a haproxy pair from inside the lab's client host, and
// counts what gets through in a window of time.
//
//	process that measures            client host
//	+------------------+  Spec      +---------------------------+
//	| Run              | ---------> | Main: the same program    |
//	|                  |            |   warm-up | window        |
//	|                  | <--------- |            count, CPU     |
//	+------------------+  Result    +---------------------------+
//
// The client is a process of its own, so that its sockets are made in its namespace
// at the speed of a system call, and its processor time can be told from that of
// everything else. A program that measures calls [Main] first thing.
//
// # What processor time means here
//
// All hosts of a lab share one kernel, and a veth hands a packet over in the
// context of whoever sends it: the way of a packet through the switch, through a
// host's XDP program and netfilter, and into the receiver's socket, runs as softirq
// on top of the sender's system call, and on whichever process was running when
// the softirq's budget was used up. No process's account has it apart. So
// [Machine] takes the time of the whole machine. What one way costs is the
// difference to another way under the same load.
package load
