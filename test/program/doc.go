// SPDX-License-Identifier: Apache-2.0

// Package program tests the XDP program of bpf/ by itself: frames in, verdict, frame
// and counters out, by BPF_PROG_TEST_RUN. No interface, no peer, no timing.
//
//	frames/   makes frames and judges them, with gopacket
//	rig/      the little world that the program thinks it is in
//
// The table is in files by concern (*_rows_test.go), and is run twice: on a program
// that was just loaded, and on its successor over the same maps.
package program
