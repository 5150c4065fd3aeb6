// SPDX-License-Identifier: Apache-2.0

// Package netns tests hafast on real hosts in miniature: network namespaces on one
// bridge, with real haproxy, nginx, keepalived and FRR.
//
//	haa 10.224.147.166 ──┐        ┌── web    10.224.147.154 (nginx)
//	                     ├ bridge ┤
//	hab 10.224.147.167 ──┘        └── client 10.224.147.200
//
// The lab package builds it, takeover measures what a client sees of a fault,
// cmd/bench and cmd/demo show it. The tests in this directory prove on the wire
// what the pure packages cannot.
package netns
