// SPDX-License-Identifier: Apache-2.0

// Package scale measures how the fail-over daemons bear size: a promotion with a
// thousand VIPs, the cost of idling, the cost of 255 virtual routers on one pair.
//
// A promotion is read off the wire by a packet socket on the client's host, with
// the kernel's receive timestamps, so that no daemon reports on itself:
//
//	the Active's       new Active's        first VIP's          last VIP's first
//	port is cut        first advert        gratuitous ARP       gratuitous ARP
//	    |                  |                    |                    |
//	----x------------------+--------------------+----  ...  ---------+---->
//	        detection      t0                   t1                   t2
//
// Detection is a matter of the advert interval and left out; t1-t0 and t2-t0 are
// the daemon's own work. What it reports of its phases is noted beside them.
//
// The cost is CPU time and memory of the daemon with all processes it starts,
// as /proc tells them, on the Active and on the Backup, over a window in
// which nothing happens. Meanwhile the client's host watches the adverts: whoever
// advertises a virtual router must not change.
package scale
