// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"net/netip"
	"time"
)

// Sync is what a scrape shows of the replication of flow state: a snapshot. Counts are
// since the daemon's start.
type Sync struct {
	// State is off, connecting, syncing, in_sync or incompatible.
	State string
	// Sealed says that datagrams are encrypted and authenticated. Keys are the ids of
	// the live keys, two at most; the first seals.
	Sealed bool
	Keys   []string
	// Peers are steering.MaxTargets-1 at most; more are not shown.
	Peers []SyncPeer
	// Tables are flows and conntrack.
	Tables []SyncTable
	// Rejected are datagrams from none of the peers' addresses, by reason, each reason
	// of pkg/conntrack/wire among them.
	Rejected map[string]uint64
}

// SyncPeer is the session with a peer. Its label is its address on the sync link.
type SyncPeer struct {
	Address netip.Addr
	// State is connecting, syncing, in_sync or incompatible.
	State string
	// Version is that of the records which are exchanged, 0 before there is one.
	Version int
	// ConfigSame reports whether the hosts' configurations agree; nil before it is known.
	ConfigSame *bool
	// Covered says that the peer has acknowledged all that was here when it was told
	// everything last.
	Covered bool
	// Lag is nil while nothing has been acknowledged lately.
	Lag *SyncLag
	// Backlog are changes that wait, UnderWay those that are sent and not acknowledged,
	// Oldest is the age of the oldest of both.
	Backlog, UnderWay int
	Oldest            time.Duration
	// Resyncs are counts by reason, each reason of pkg/conntrack among them.
	Resyncs map[string]uint64
	// DivergenceFound are entries that an audit found to differ, and put right.
	DivergenceFound uint64
	// Sent and Received are datagrams, with their bytes; Retransmitted are batches.
	Sent, SentBytes         uint64
	Received, ReceivedBytes uint64
	Retransmitted           uint64
	// Rejected are datagrams from the peer's address, as of Sync.
	Rejected map[string]uint64
}

// SyncLag is the time from a change here to the peer's acknowledgement, lately.
type SyncLag struct{ P50, P99, Max time.Duration }

// SyncTable is a table that is replicated, and what became of the peers' records.
type SyncTable struct {
	// Name is flows or conntrack.
	Name string
	// Entries are in the table now; Unprotected would be lost if this host failed now.
	Entries, Unprotected int
	// Applied, Kept and Failed are records: put into the table, not taken because this
	// host's entry was younger, and not taken for want of room, mostly. Swept are
	// entries that were dropped because a peer has them no more.
	Applied, Kept, Failed, Swept uint64
	// Events are the kernel's, by what they were good for.
	Events map[string]uint64
}

// WatchSync has read called at each scrape, under the terms of WatchDataPath.
func (m *Metrics) WatchSync(read func(context.Context) (Sync, error)) { m.sync.from.watch(read) }
