// SPDX-License-Identifier: Apache-2.0

// Package spawn starts the daemon's child processes: health scripts and notify
// commands.
//
// The daemon raises the priority of its threads so that adverts leave in
// time, and lets most of their timers be late. A child inherits both from the
// thread that forked it, and a shell script at nice -20 could hold a CPU against
// the daemon itself. Go forks on whichever thread the calling goroutine happens to be on,
// so all forks are handed to one goroutine that is locked to its own thread,
// and that thread is put back to what is ordinary before each fork:
//
//	health ──┐               ┌──────────────────────────┐
//	         ├── requests ──>│ one locked thread,       │── fork, exec ──> sh
//	notify ──┘               │ SCHED_OTHER, 50 us slack │
//	                         └──────────────────────────┘
//
// The thread matters for a second reason. PR_SET_PDEATHSIG, which health
// scripts use so that they do not outlive a daemon that was killed, fires when
// the thread that forked the child ends, not when the process does
// (prctl(2)). Forked from an ordinary goroutine's thread, a child could be
// killed whenever the Go runtime retires that thread. The spawner's thread
// therefore lives until Close, and Close belongs at the very end of the
// process.
//
// A command line is split into words as a shell would split it; only a line
// that uses more of the shell (a pipe, a variable, a redirection) is given to
// /bin/sh. Each child leads its own process group, so that a timeout reaches
// what it started as well.
package spawn
