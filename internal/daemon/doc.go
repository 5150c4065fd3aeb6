// SPDX-License-Identifier: Apache-2.0

// Package daemon joins the packages: events in, pure machines, actions out.
//
//	wires ──── advertisement ──┐                 ┌──> wires     (adverts)
//	link ───── change ─────────┤                 ├──> ownership (addresses, announcements)
//	health ─── update ─────────┼──> loop ────────┼──> notify    (scripts)
//	announce ─ rival claim ────┤   vrrp.Router   ├──> metrics, journal, log
//	control ── request ────────┤                 │
//	SIGHUP ─── configuration ──┤                 │
//	clock ──── deadline ───────┘                 │
//	ownership ─ acquired, mended ────────────────┘
//
// One goroutine, the loop, owns all state; whoever else wants to read it or
// change it sends an event. Nothing the loop calls may block: adverts are single
// system calls, and all that takes longer (addresses, scripts, sockets) is queued to a
// goroutine that reports back with an event. State sync is published facts, which its own
// goroutine adopts. The loop waits for one thing, and for 20 ms at most: that the peers
// have been sent the last changes of a VIP before the advert that resigns it.
package daemon
