// SPDX-License-Identifier: Apache-2.0

// Package ownership takes and releases VIPs, in the right order and off the
// daemon's loop, and keeps them as they should be.
//
//	           Backup                          Active
//	lo     VIP/32  (haproxy binds it)      VIP/32
//	eth0   -                               VIP      <- ARP and ND are answered
//	          |                               ^
//	          |  Acquire: gate, address, routes, announcement,    |
//	          +---------  Acquired; then the announcements  ------+
//	          ^                                                   |
//	          +-----  Release: gate, schedule, address, routes  --+
//
// Every VIP stays on lo in both states, so that haproxy can bind it at any time;
// sysctls keep it from being answered for over eth0. Only its presence on the
// interface says that this host has it. Where there is a data path, its gate decides
// besides which requests for the VIP get as far as the stack.
//
// One goroutine, Run, does all the work. Acquire, Release, Reannounce and Changed
// leave a note and return at once; of several notes about one instance the last
// one counts, so that the queue is never longer than there are instances, and
// none is ever dropped. An Acquire always announces, even where the addresses
// have never left.
//
// Mending is level-triggered: each report of an interface's state is compared
// with what ought to be. Since the link package reports whether a correction has
// really changed anything, a report that is out of date does no harm.
package ownership
