// SPDX-License-Identifier: Apache-2.0

// Package datapath keeps the XDP program doing what the daemon's loop desires.
//
//	loop ── Desired: instances, targets, services, interfaces
//	  │          │
//	  │          v   Run's goroutine: one state at a time, the last one counts
//	  │      places, gates, tables ──> loader: maps, Publish, Attach
//	  │                                   ^
//	  └── Renew, SetServing,              │
//	      SetTargetState, gates ──────────┘   stores into shared memory, at once
//
// The desired state is all of it, so that of several only the last one has to be
// reconciled. What cannot wait, because packets go to a haproxy that has just died or a
// host answers that must not, is a store into memory that is shared with the program.
//
// Flows remember their target by its place, and a VIP its instance by its gate. Both
// numbers stay with their owners, over restarts of the daemon too.
package datapath
