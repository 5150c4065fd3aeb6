// SPDX-License-Identifier: Apache-2.0

package control

import (
	"slices"
	"time"
)

// States of replication: of Sync as a whole, and, but for SyncOff, of a SyncPeer. They
// are about what this host has of the others; what the others lack of this host's is
// in the figures of what is unprotected.
const (
	SyncOff          = "off"          // not asked for
	SyncConnecting   = "connecting"   // no session: nothing that counts has come, or not lately
	SyncSyncing      = "syncing"      // tables are being told from their beginning
	SyncInSync       = "in_sync"      // tables are as the peer's, less the lag
	SyncIncompatible = "incompatible" // the hosts have no version in common
)

// Names of the tables that are replicated.
const (
	SyncFlows     = "flows"     // of the XDP program: which haproxy has which connection
	SyncConntrack = "conntrack" // the kernel's connection tracking
)

// SyncOnce is what mends that state is exchanged with a host by two of its addresses.
const SyncOnce = "name each host once under sync.peers, by the first of its addresses in peers, of one family on all hosts"

// Sync tells of the replication of flow state. Counts are since the daemon's start.
type Sync struct {
	// State is SyncState of Peers, or SyncOff.
	State string `json:"state"`
	// Reason says why there is no replication that was asked for.
	Reason string `json:"reason,omitempty"`
	// Sealed says that what is sent is encrypted and authenticated, and that nothing
	// else is accepted.
	Sealed bool `json:"sealed"`
	// KeyID names the key that seals, OtherKeyID the second one that opens, during a
	// change of keys: 8 hexadecimal digits, the same on all hosts that have the key.
	// Empty where there is none.
	KeyID      string `json:"key_id,omitempty"`
	OtherKeyID string `json:"other_key_id,omitempty"`
	// Peers are the hosts with which state is exchanged.
	Peers []SyncPeer `json:"peers"`
	// Tables are those that are replicated: SyncFlows, SyncConntrack.
	Tables []SyncTable `json:"tables"`
	// FlowsUnprotected and ConntrackUnprotected would be lost if this host failed now:
	// entries of its own that no peer has acknowledged as they are. While no peer is in
	// sync, those are all of them.
	FlowsUnprotected     int `json:"flows_unprotected"`
	ConntrackUnprotected int `json:"conntrack_unprotected"`
	// Rejected are datagrams from none of the peers' addresses, by reason: the reasons
	// of pkg/conntrack/wire.
	Rejected map[string]uint64 `json:"rejected"`
}

// SyncPeer is the session with a peer.
type SyncPeer struct {
	// Node is the name the peer gives itself, empty before it has been heard.
	Node string `json:"node"`
	// Address is the peer's on the sync link.
	Address string `json:"address"`
	// SameHostAs is the address of a peer before it that is the same host; see SyncOnce.
	SameHostAs string `json:"same_host_as,omitempty"`
	// State is SyncConnecting, SyncSyncing, SyncInSync or SyncIncompatible.
	State string `json:"state"`
	// Reason says why the peer is not in sync, empty when it is.
	Reason string `json:"reason,omitempty"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
	// Version is that of the records which the two exchange; 0 before they have agreed.
	Version int `json:"version"`
	// ConfigSame reports whether the peer's configuration has the same shared part; nil
	// before it has been told.
	ConfigSame *bool `json:"config_same,omitempty"`
	// Covered says that the peer could take over: it has acknowledged all that was here
	// when it was told everything last, and lacks no more than Backlog and UnderWay.
	Covered bool `json:"covered"`
	// Lag is of what this host tells the peer; nil while nothing has been acknowledged
	// lately.
	Lag *SyncLag `json:"lag,omitempty"`
	// Backlog are changes that wait to be sent, UnderWay those that are sent and not
	// acknowledged. OldestMS is the age of the oldest of both in milliseconds.
	Backlog  int     `json:"backlog"`
	UnderWay int     `json:"under_way"`
	OldestMS float64 `json:"oldest_ms"`
	// Resyncs count how often a table was told or asked for from its beginning, by
	// reason; LastResync is the last one's reason, empty before the first.
	Resyncs    map[string]uint64 `json:"resyncs"`
	LastResync string            `json:"last_resync,omitempty"`
	// DivergenceFound are entries of this host that an audit found to be missing,
	// different from the peer's or gone there, and put right.
	DivergenceFound uint64 `json:"divergence_found"`
	// Sent are datagrams to the peer, Received those of the peer that were accepted;
	// their bytes are without IP and UDP headers. Retransmitted are batches that were
	// sent again.
	Sent          uint64 `json:"sent"`
	SentBytes     uint64 `json:"sent_bytes"`
	Received      uint64 `json:"received"`
	ReceivedBytes uint64 `json:"received_bytes"`
	Retransmitted uint64 `json:"retransmitted"`
	// Rejected are datagrams from the peer's address that were not, by reason: the
	// reasons of pkg/conntrack/wire.
	Rejected map[string]uint64 `json:"rejected"`
}

// SyncLag is the time from a change on this host to the peer's acknowledgement, over
// the last 10 to 20 seconds, in milliseconds.
type SyncLag struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
}

// SyncTable is what has become of the peers' records on this host.
type SyncTable struct {
	// Name is SyncFlows or SyncConntrack.
	Name string `json:"name"`
	// Entries are in the table now, this host's own among them.
	Entries int `json:"entries"`
	// Applied records were put into the table, or taken out of it.
	Applied uint64 `json:"applied"`
	// Kept are those that this host knew better: its own entry was younger.
	Kept uint64 `json:"kept"`
	// Failed are those that the table did not take, for want of room mostly.
	Failed uint64 `json:"failed"`
	// Swept are entries that were dropped because a peer, telling all it has, did not
	// tell them.
	Swept uint64 `json:"swept"`
	// Events are those in which the kernel tells what becomes of entries, by what they
	// were good for; of SyncConntrack alone.
	Events map[string]uint64 `json:"events,omitempty"`
}

// SyncState is the state of replication with all peers together: SyncSyncing while any
// of them is, then SyncInSync if any is, so that a host that has died does not hide that
// the others are; then SyncIncompatible, then SyncConnecting.
func SyncState(peers []SyncPeer) string {
	for _, state := range []string{SyncSyncing, SyncInSync, SyncIncompatible} {
		if slices.ContainsFunc(peers, func(p SyncPeer) bool { return p.State == state }) {
			return state
		}
	}
	return SyncConnecting
}

// withoutNulls makes the empty lists of s empty instead of null.
func (s Sync) withoutNulls() Sync {
	peers := make([]SyncPeer, len(s.Peers))
	for i, peer := range s.Peers {
		peer.Resyncs = orNone(peer.Resyncs)
		peer.Rejected = orNone(peer.Rejected)
		peers[i] = peer
	}
	s.Peers = peers
	s.Tables = orEmpty(s.Tables)
	s.Rejected = orNone(s.Rejected)
	return s
}

func orNone(counts map[string]uint64) map[string]uint64 {
	if counts == nil {
		return map[string]uint64{}
	}
	return counts
}
