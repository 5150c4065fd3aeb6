// SPDX-License-Identifier: Apache-2.0

// Package frames makes the frames that the XDP program is tested and measured with,
// and judges those that come out of it. Headers, lengths and checksums are gopacket's
// work, not ours: what is wrong in both the program and its tests would not show.
//
//	frames.Packet{Dst: host, Src: router, From: client, To: vip}.TCP(frames.SYN)
//
// A mistake in the use of this package panics.
package frames
