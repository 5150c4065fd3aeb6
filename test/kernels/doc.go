// SPDX-License-Identifier: Apache-2.0

// Package kernels runs this repository's tests on other kernels than the one at
// hand. Debian's kernels are fetched, never installed, and booted under qemu, which
// emulates where there is no KVM; so clocks are slow in there, and no figure that is
// measured in a guest means anything.
//
//	apt (lists of our own)                    go test -c
//	        |                                     |
//	   Fetcher: vmlinuz, modules.img          Payload: data.img
//	        |                                     |
//	        +----> Guest: qemu <------------------+
//	                 |   initramfs: busybox, drivers of the disks
//	                 |   root.img: debootstrap (full runs alone)
//	      ttyS0      |      a virtio port
//	   kernel's log  |   guest/run.sh: test binaries, one after the other
//	                 v
//	              Results ──> Verdict: is a skip allowed? ──> Table
//
// Two sorts of runs share all of this. A smoke run has no root image: busybox and
// static test binaries are enough for the XDP program and its loader. A full run boots
// a small Debian, with haproxy and the tools that the labs call, and with interfaces on
// bridges of the host's, which have the queues and offloads that qemu's hub lacks.
//
// What is fetched or made once lies in a cache outside the tree. Everything there is
// made under another name and renamed when it is complete, so an interrupted run
// leaves nothing that a later one would trust.
package kernels
