// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Counts are kept by other packages and read at each scrape, perhaps by two
// goroutines at once. They never fall. A nil one has no series.
type Counts struct {
	// ClaimsMalformed are announcements that the watch on rivals could not
	// understand.
	ClaimsMalformed func() uint64
	// NotifyDropped are notifications that were left out, NotifyFailed are notify
	// commands that did not exit with status 0.
	NotifyDropped, NotifyFailed func() uint64
}

// WatchCounts shows the counts from now on. It can be called once.
func (m *Metrics) WatchCounts(c Counts) {
	m.counterFunc("claims_malformed_total",
		"ARP packets and neighbour advertisements received that could not be understood.", c.ClaimsMalformed)
	m.counterFunc("notify_dropped_total",
		"Notifications left out, because commands were too slow or the daemon stopped.", c.NotifyDropped)
	m.counterFunc("notify_failed_total",
		"Notify commands that failed or could not be run.", c.NotifyFailed)
}

func (m *Metrics) counterFunc(name, help string, read func() uint64) {
	if read == nil {
		return
	}
	opts := prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
	m.registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(read()) }))
}
