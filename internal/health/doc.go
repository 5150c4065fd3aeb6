// SPDX-License-Identifier: Apache-2.0

// Package health watches what decides whether this host should own the VIPs:
// haproxy itself, scripts, other processes, and numbers in files.
//
//	pidfile ──inotify──┐
//	haproxy ──pidfd────┤ HAProxy        ─┐
//	stats socket ──────┤ HAProxySocket   │ Update
//	/bin/sh ───────────┤ Script          ├───────> event loop ──> Score
//	/proc, pidfds ─────┤ Process         │
//	file ──inotify─────┘ File           ─┘
//
// Each Checker runs in a goroutine of its own and reports changes. Score, a
// pure function, turns the checks of one instance into its priority, with
// keepalived's arithmetic.
//
// # When haproxy counts as down
//
// The pidfile says which processes are haproxy, and a pidfd on each of them
// says when one ends. At that moment, without waiting for anything, the pidfile
// is read again:
//
//   - It names another living haproxy: a reload, which is no failure.
//   - It names nobody (missing, empty), or the process ended with status 0: a
//     haproxy started with -sf may be on its way. It removes the pidfile, tells
//     the old process to finish, and writes the file last, so an idle old
//     process is gone before. A living haproxy whose command line lists the old
//     pid after -sf or -st is the replacement, and is followed from here.
//   - Otherwise haproxy is down, at once, with the reason. There is no grace
//     period: a restart that stops haproxy before it starts another is an
//     outage, and is reported as one, with its length once it is over.
//
// Further rules:
//
//   - A pidfile that goes missing, is empty or names somebody else takes nothing
//     away while a process that it named before still runs.
//   - A pid whose command name does not begin with "haproxy" is not haproxy: the
//     file is stale and the pid went to somebody else.
//   - With several pids (the daemon mode of haproxy before 2.5 could run many
//     processes) haproxy is up while any of them lives, since they share their
//     listening sockets; what is left is said in the detail.
//   - A master (-W, -Ws) must have a worker. The master's last worker ending is a
//     failure, however long the master lives on, unless the master is just
//     executing itself with that worker after -sf. A worker is looked for when
//     another ends and once a second, as nothing tells of a fork.
//   - A process that runs but answers nobody is found by the stats socket.
//
// The reason comes from the kernel: of a process that is no child of ours, the
// exit status is in /proc/PID/stat until it is reaped and can be asked of the
// pidfd from Linux 6.15 on. In between, older kernels do not know it any more.
package health
