// SPDX-License-Identifier: Apache-2.0

// Package cost measures what the XDP program costs, in nanoseconds per packet.
//
//	test-run -> vary -> tail call -> hafast    as the loader loads it
//	                                 nothing   what measuring costs; subtracted
//	                                 a floor   the look-ups that cannot be saved, alone
//
// A test-run (BPF_PROG_TEST_RUN) repeats a program on one frame, which keeps what the
// program has written to it. So a small program puts the frame back each time and gives
// it a client: the same, one after the other, or any of many (bpf/floor.bpf.c). Each
// round of a case runs all three, one right after the other, so that what disturbs the
// machine disturbs them alike. All of it happens in the caches of one processor that
// does nothing else: what drivers and stacks do with a packet comes on top.
//
// Every run is checked: verdict and counters must say that the packets went the way that
// is being measured.
package cost
