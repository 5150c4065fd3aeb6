// SPDX-License-Identifier: Apache-2.0

// Package announce tells the neighbours who has a VIP, and listens for anybody
// else who says so.
//
//	takeover --> Schedule: when?  t0 .. t0+20ms .. t0+40ms ... t0+5s ... every 1m
//	                |
//	             Sender: gratuitous ARP (RFC 5227), unsolicited NA (RFC 4861)
//	                |
//	   =============+======================= the wire
//	                         |
//	             Watch: ARP and NA that claim a VIP of ours --> Claim
//
// Schedule is pure; Sender and Watch own sockets, opened at construction in the
// calling thread's network namespace. None of the sockets is bound to an
// interface, so that interfaces may come and go.
package announce
