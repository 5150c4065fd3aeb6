// SPDX-License-Identifier: Apache-2.0

// Package metrics is what Prometheus sees of the daemon.
//
//	event loop --SetInstance, Transition, AdvertSent...--> Metrics
//	XDP program, prober, state sync --read at each scrape-----+
//	                                                          |
//	Prometheus --GET /metrics--> Serve --> Handler -----------+
//	load balancer --GET /healthz--> Serve
//
// All names start with hafast_. Counters end in _total, times are in seconds,
// and a state is a state-set: one series per state, of which one is 1.
//
// What happens is told by whoever it happens to. What is counted elsewhere anyway,
// by the XDP program above all, is read when a scrape asks for it: the data path and
// state sync as a snapshot each (WatchDataPath, WatchSync), so that their series agree
// with each other and a peer or interface that goes takes its series along.
//
// Labels are bounded. Instances, interfaces and checks come from the
// configuration, and their series go when the configuration drops them (Retain).
// Causes, reasons, phases and kinds come from closed sets; a word outside its
// set is counted as "other", so that neither a packet nor a slip in the code can
// make a series. Reasons that other packages count come from their own lists, and at most
// 64 of them are shown; of services 256. Peers and targets go by their address, which
// is from the configuration, and not by the name they give themselves. Counters with
// a small set of labels start at 0 when their instance appears, so that rate() sees
// the first event.
//
// There is no global registry: each Metrics has its own, with the collectors
// of the process and of the Go runtime beside ours. All methods are safe for
// concurrent use and cost well under a microsecond.
package metrics
