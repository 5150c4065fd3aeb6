// SPDX-License-Identifier: Apache-2.0

// Package link is the daemon's view of, and hand on, the kernel's network
// configuration: interfaces, addresses, routes, sysctls, macvlan devices and the
// filter behind Accept_Mode.
//
//	           kernel
//	  rtnetlink | nfnetlink | /proc/sys
//	     |  |        |            |
//	Monitor Conn   Guard       Sysctls
//	     |  |        |            |
//	 reports |  changes, batched, idempotent
//	     v  v        v            v
//	           ownership, daemon
//
// Reading is level-triggered: a Change carries the whole State of an interface,
// so a reader that missed one is right again after the next. Writing is
// idempotent: adding what is there and removing what is not succeed, and the
// Outcome tells what has really changed, so that a caller acting on an old
// State does no harm and claims no credit.
//
// Everything works in the network namespace of the thread that constructed it:
// sockets are opened at construction, and Sysctls, whose files the kernel
// resolves by the calling thread, enters that namespace where it must.
package link
