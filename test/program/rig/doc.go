// SPDX-License-Identifier: Apache-2.0

// Package rig holds the XDP program in a known little world and runs frames through
// it with BPF_PROG_TEST_RUN: no interface carries anything, and a verdict is a value.
//
//	       client 192.0.2.7
//	           |
//	        router
//	           |                       place  flags
//	---+-------+----+-------------+--
//	   |            |             |
//	 self         peer          down     self   1   local, new, old
//	10.0.0.1     10.0.0.2     10.0.0.4   peer   2   new, old
//	   |                                 down   3   none
//	   | another interface               far    0   new, old
//	 far 10.1.0.3
//
// VIP 10.0.0.100 has a service on each of a few ports, and each port's table sends
// all new flows to one place: 8000 here, 8001 to the peer, and so on; see the Port
// constants. IPv6 has the same with other addresses. Tests change what a case is
// about, and Reset puts it all back.
//
// Test-runs look sockets up in the calling thread's network namespace, and say that
// frames come in through its lo. A World has a namespace and a thread in it: the
// sockets of a test are opened there by Do.
package rig
