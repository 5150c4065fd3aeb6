// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// syncCollector makes the series of a Sync at the moment of a scrape.
type syncCollector struct {
	from snapshot[Sync]

	states, sessions, tables set // of states and names
	all                      []*prometheus.Desc

	state, sealed, key                                                *prometheus.Desc
	entries, unprotected, records, swept, events                      *prometheus.Desc
	session, version, configSame, covered, lag, oldest                *prometheus.Desc
	backlog, underWay, resyncs, differed                              *prometheus.Desc
	sent, sentBytes, received, receivedBytes, retransmitted, rejected *prometheus.Desc
}

func newSyncCollector() *syncCollector {
	c := &syncCollector{
		states:   set{"off", "in_sync", "syncing", "incompatible", "connecting"},
		sessions: set{"in_sync", "syncing", "incompatible", "connecting"},
		tables:   set{"flows", "conntrack"},
	}
	desc := func(at **prometheus.Desc, name, help string, labels ...string) {
		*at = prometheus.NewDesc(prometheus.BuildFQName(namespace, "sync", name), help, labels, nil)
		c.all = append(c.all, *at)
	}
	desc(&c.state, "state",
		"1 for the state that state sync is in with all peers together, 0 for the others.", "state")
	desc(&c.sealed, "sealed",
		"1 while what is sent to the peers is encrypted and authenticated.")
	desc(&c.key, "key_info",
		"Always 1; the labels name the live keys, and whether the key seals or only opens.", "key", "use")
	desc(&c.entries, "table_entries",
		"Entries of a replicated table, replicas among them.", "table")
	desc(&c.unprotected, "unprotected",
		"Entries that would be lost if this host failed now: no peer has acknowledged them.", "table")
	desc(&c.records, "records_total",
		"Records received from peers: applied, kept (this host's own was younger) or failed (the table was full, mostly).", "table", "result")
	desc(&c.swept, "swept_total",
		"Entries dropped because the peer that has told all of its table did not tell them.", "table")
	desc(&c.events, "events_total",
		"Events of the kernel's connection tracking, by result: news (told, gone), none (ignored), asked for again (incomplete), "+
			"not replicated (unsupported, malformed), or lost so that all is told anew (overrun).", "table", "result")
	desc(&c.session, "peer_state",
		"1 for the state the session with the peer is in, 0 for the others.", "peer", "state")
	desc(&c.version, "peer_version",
		"Version of the records exchanged with the peer; 0 before there is one.", "peer")
	desc(&c.configSame, "peer_config_same",
		"1 while the peer's configuration agrees with this host's; absent before it is known.", "peer")
	desc(&c.lag, "lag_seconds",
		"Time from a change on this host to the peer's acknowledgement, of the last 10 to 20 seconds: p50, p99 and max.", "peer", "stat")
	desc(&c.covered, "peer_covered",
		"1 while the peer could take over: it has all of this host's but for the backlog.", "peer")
	desc(&c.oldest, "oldest_change_seconds",
		"Age of the oldest change that the peer has not acknowledged; 0 if there is none.", "peer")
	desc(&c.backlog, "backlog",
		"Changes that wait to be sent to the peer.", "peer")
	desc(&c.underWay, "under_way",
		"Changes sent to the peer and not acknowledged.", "peer")
	desc(&c.resyncs, "resyncs_total",
		"Times a table was told or asked for from its beginning, by reason.", "peer", "reason")
	desc(&c.differed, "divergence_found_total",
		"Entries that an audit found to be missing here, different from the peer's or gone there, and put right.", "peer")
	desc(&c.sent, "datagrams_sent_total",
		"Datagrams sent to the peer.", "peer")
	desc(&c.received, "datagrams_received_total",
		"Datagrams of the peer that were accepted.", "peer")
	desc(&c.sentBytes, "sent_bytes_total",
		"Bytes of the datagrams sent to the peer, without IP and UDP headers.", "peer")
	desc(&c.receivedBytes, "received_bytes_total",
		"Bytes of the datagrams of the peer that were accepted, without IP and UDP headers.", "peer")
	desc(&c.retransmitted, "retransmissions_total",
		"Batches sent to the peer again.", "peer")
	desc(&c.rejected, "datagrams_rejected_total",
		"Datagrams that were not accepted, by reason; those from no peer's address have the peer other.", "peer", "reason")
	return c
}

// Describe is prometheus.Collector's.
func (c *syncCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range c.all {
		descs <- desc
	}
}

// Collect is prometheus.Collector's.
func (c *syncCollector) Collect(out chan<- prometheus.Metric) {
	now, ok, err := c.from.take()
	switch {
	case err != nil:
		out <- prometheus.NewInvalidMetric(c.state, err)
		return
	case !ok:
		return
	}
	s := series{out: out}
	for _, state := range c.states {
		s.gauge(c.state, truth(state == c.states.boundToLast(now.State)), state)
	}
	s.gauge(c.sealed, truth(now.Sealed))
	for i, key := range distinct(now.Keys, maxKeys, func(key string) string { return key }) {
		s.gauge(c.key, 1, key, []string{"seals", "opens"}[i])
	}
	for _, t := range distinct(now.Tables, len(c.tables), func(t SyncTable) string { return t.Name }) {
		c.collectTable(s, t)
	}
	for _, p := range distinct(now.Peers, maxPeers, func(p SyncPeer) string { return p.Address.String() }) {
		c.collectPeer(s, p)
	}
	s.counts(c.rejected, now.Rejected, other)
}

func (c *syncCollector) collectTable(s series, t SyncTable) {
	if !slices.Contains(c.tables, t.Name) {
		return
	}
	s.gauge(c.entries, float64(t.Entries), t.Name)
	s.gauge(c.unprotected, float64(t.Unprotected), t.Name)
	s.counter(c.records, t.Applied, t.Name, "applied")
	s.counter(c.records, t.Kept, t.Name, "kept")
	s.counter(c.records, t.Failed, t.Name, "failed")
	s.counter(c.swept, t.Swept, t.Name)
	s.counts(c.events, t.Events, t.Name)
}

func (c *syncCollector) collectPeer(s series, p SyncPeer) {
	name := p.Address.String()
	s.states(c.session, c.sessions, p.State, name)
	s.gauge(c.version, float64(p.Version), name)
	if p.ConfigSame != nil {
		s.gauge(c.configSame, truth(*p.ConfigSame), name)
	}
	s.gauge(c.covered, truth(p.Covered), name)
	if p.Lag != nil {
		s.gauge(c.lag, p.Lag.P50.Seconds(), name, "p50")
		s.gauge(c.lag, p.Lag.P99.Seconds(), name, "p99")
		s.gauge(c.lag, p.Lag.Max.Seconds(), name, "max")
	}
	s.gauge(c.backlog, float64(p.Backlog), name)
	s.gauge(c.underWay, float64(p.UnderWay), name)
	s.gauge(c.oldest, p.Oldest.Seconds(), name)
	s.counts(c.resyncs, p.Resyncs, name)
	s.counter(c.differed, p.DivergenceFound, name)
	s.counter(c.sent, p.Sent, name)
	s.counter(c.sentBytes, p.SentBytes, name)
	s.counter(c.received, p.Received, name)
	s.counter(c.receivedBytes, p.ReceivedBytes, name)
	s.counter(c.retransmitted, p.Retransmitted, name)
	s.counts(c.rejected, p.Rejected, name)
}
