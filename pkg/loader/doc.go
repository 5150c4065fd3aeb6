// SPDX-License-Identifier: Apache-2.0

// Package loader brings the XDP program of bpf/ into the kernel, keeps it there
// while the daemon comes and goes, and gives typed access to its maps.
//
//	          daemon                               kernel
//	Open      Options  -----> load, check ----->  program, maps
//	                                                 |
//	...       Publish, SetVIPs, SetTarget  ------>  maps (before any packet counts)
//	                                                 |
//	Attach    eth0  ------ link.Update ---------->  the new program serves
//	                       or a first attach         |
//	Close     the daemon ends                       goes on serving, fenced by the lease
//	Remove    hafast is stopped for good            nothing is left
//
// # What is pinned
//
//	/sys/fs/bpf/hafast/
//	    abi             the version of the layouts (bpf/abi.h), for the next daemon to check
//	    control ...     the maps, under their names
//	    program         the program
//	    links/2         the attachment to the interface with index 2
//	    next/           of a daemon that is between Open and Attach; otherwise absent
//
// Not pinned is what means something to one process alone: the ring of flow events, the
// records of replicas, and traffic by the process's own numbers of services.
//
// A daemon that opens the directory takes over what its predecessor has left: maps
// with the same layout are adopted, contents and all. Maps that the daemon fills
// anyway are made anew if their layout has changed. Flow tables of another capacity
// are copied to new ones. The control map and flow tables of another layout, or of
// another ABI version, are not touched: Open fails with a LayoutError.
//
// # Upgrades
//
// New maps and the new program are pinned in next/, and the predecessor's program
// serves on from its own maps until Attach has swapped it, in one step and without
// losing a packet. Then the flows that it has seen since the copy are copied too,
// and the pins are renamed into place. Wherever this is interrupted, the next Open
// finds its way: next/ is thrown away, and the flow tables that are really in use
// are found through the program of the pinned link.
//
// # Refusals
//
// A kernel that takes no such program, a process that may not call bpf(2), a driver
// without native mode: each is told apart and named with what can be done about it
// (RefusedError, OccupiedError, Remedy, Obstacles). Try finds out beforehand, without a
// trace. What an older kernel lacks and the program can do without is in Lacks.
//
// # Replication
//
// Peers are to know each other's flows. The program tells what becomes of them
// (ListenFlows, FlowEvents); what peers tell is written into the tables by a second
// program, which looks up, compares and writes within the kernel (ApplyReplicas), and
// whose work the first one does not tell of. A Walk reads the tables for a peer that
// has to hear everything, and a Sweep deletes what such a peer did not hear of. An
// entry knows that it is a replica until a packet of it comes here, and when it was
// told last, to the generation.
//
// # Concurrency
//
// All methods are safe for concurrent use. Those that only store into memory that is
// shared with the program (RenewLease, SetServing, SetGate, SetTargetFlags, Session)
// take no lock, make no system call and do not allocate; the others may wait for each
// other, for a system call, and where it is said, for an RCU grace period (10 to 20 ms).
// Replication has locks of its own, and waits for none of the others. After Close,
// stores go on to reach the pinned maps, and everything else returns errors.
//
// Interfaces are looked up in the calling thread's network namespace.
package loader
