// SPDX-License-Identifier: Apache-2.0

// Package notify runs the users' notify commands at transitions, off the event
// loop.
//
// Each instance and each sync group is a key with a queue and a goroutine of
// its own while there is something to run: the commands of one key run strictly
// one after the other, those of different keys side by side.
//
//	Notify(VI_1, MASTER) ──> [ BACKUP | MASTER ] ──> command, command, ...
//	Notify(VI_2, FAULT)  ──> [ FAULT ]           ──> command
//
// Notify never waits. A queue holds 16 notifications; when one more comes, the
// oldest that has not begun is dropped, counted and logged, since the latest
// state is what a command must get to know in the end.
//
// When the context of Run ends, what is queued is still run, so that STOP
// commands get their turn, for 10 seconds at most.
package notify
