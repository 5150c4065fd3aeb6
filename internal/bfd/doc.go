// SPDX-License-Identifier: Apache-2.0

// Package bfd knows within milliseconds that a peer has died: it is the
// initiator of Seamless BFD (RFC 7880, RFC 7881).
//
//	           the prober's thread, every 2 ms                  the peer
//	+-------------------------------------------+
//	|  Session.Observe: what does the map say?   |
//	|  Session.Probe:   what is to be sent?      |--- UDP 7784 --> XDP reflector
//	|  doubt: has everybody gone quiet? ---------|--- ARP ------> the witness
//	+-------^---------------------------|-------+                    |  |
//	        | Slots (mapped memory)     | mailbox, eventfd           |  |
//	    XDP program <-------------------|----------------------------+--+
//	    notes sequence, state, time     v
//	                             goroutine: Report(Event)
//
// A probe carries its sequence number as My Discriminator, which the reflector
// sends back. Replies wake nobody: the XDP program notes the last one in a map,
// and the thread looks there when its next probe is due.
//
// Session, doubt and Trust are pure: they are stepped with the time and hold no
// clock. Times are durations since the zero of CLOCK_MONOTONIC, because that is
// what the kernel's half stamps replies with.
//
// # Who is accused, and when
//
// Down means that as many probes in a row as the multiplier says were sent and
// found unanswered. Time alone accuses nobody:
//
//   - One probe is outstanding at a time. It is judged when the next one is due,
//     an interval after it was planned to leave.
//   - If it left more than half an interval after it was planned, or between the
//     decision and the system call so much time went by, it gets a full interval
//     from then on.
//   - If the judgement itself comes more than half an interval after it was due,
//     the prober was paused, and what the peer answered may still lie in the
//     network card. An answer that is there counts. If there is none, nothing is
//     judged and nothing is sent: the probe gets a full further interval.
//   - Whenever the prober was late, at either end, what it has held against the peer so
//     far is dropped: as many probes as the multiplier says are sent and judged on time
//     before anybody is accused. What delays this thread is often a processor that was
//     taken from the whole host, and the replies to the probes before may have been
//     waiting for that one already.
//   - A probe that could not be sent (no route, no buffer, interface down) says
//     nothing about the peer. It neither counts nor ends a run of misses.
//
// So a host that cannot keep its own time accuses nobody at once. But one that is busy all
// the time must find a death too: when it has listened for a second in all, between its
// pauses, without an answer, the peer is Down.
//
// # The thread
//
// All sessions share one operating system thread. Three ways to make it punctual
// were measured on two processors kept busy by other processes, with a Go heap
// that was collected all the time, and one of them is used:
//
//   - SCHED_DEADLINE, with a budget. Used where it is allowed (CAP_SYS_NICE, and
//     not confined to some of the processors).
//   - The process's own priority. Used otherwise. With nice -20, of 5000 ticks of
//     2 ms some 200 came more than a millisecond late, against 8 to 17 under
//     SCHED_DEADLINE.
//   - SCHED_FIFO. Not used. A goroutine that returns from a system call may find
//     that another thread of the runtime (the collector, the monitor) has a hold
//     on it for some hundred nanoseconds, and waits by keeping busy. If the one
//     it waits for was running on this very processor, it waits for what it keeps
//     from running: 150 and 260 ms were seen, all of it processor time. A budget
//     ends that after a few milliseconds.
//
// The sleep is an ordinary blocking system call, before which the runtime is told
// that this thread gives up its processor token (its P). It takes it back in a
// moment unless the process's other goroutines use them all, so a daemon does
// well to run with a few more of them (GOMAXPROCS) than it has processors.
// Keeping the token while asleep (RawSyscall) is worse: the runtime takes a
// goroutine that holds one for more than 10 ms for a busy one and has it step
// aside, for which another thread must wake up first. Sending does not block, is
// short, and is done without telling the runtime.
package bfd
