// Package datapath keeps the XDP program doing what the daemon's loop wishes.
//
//	loop ── Wish: instances, targets, services, interfaces
//	  │          │
//	  │          v   Run's goroutine: one wish at a time, the last one counts
//	  │      places, gates, tables ──> loader: maps, Publish, Attach
//	  │                                   ^
//	  └── Renew, SetServing, Flip, gates ─┘   stores into shared memory, at once
//
// A wish says how things ought to be, all of it, so that of several only the last has
// to be carried out. What cannot wait, because packets go to a haproxy that has just
// died or a host answers that must not, is a store into memory that is shared with
// the program.
//
// Flows remember their target by its place, and a VIP its instance by its gate. Both
// numbers stay with their owners, over restarts of the daemon too.
package datapath
