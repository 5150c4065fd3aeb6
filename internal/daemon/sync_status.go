// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hafast/internal/control"
	"hafast/internal/datapath"
	"hafast/internal/metrics"
	"hafast/internal/statesync"
	"hafast/pkg/conntrack"
	"hafast/pkg/conntrack/nfct"
	"hafast/pkg/conntrack/wire"
)

// replica is what is replicated, for status and metrics; nil without state sync.
type replica struct {
	channel *statesync.Channel
	path    *datapath.Path // nil without a data path
}

// replica is the host's, once its adapters are open.
func (h *host) replica() *replica {
	if !h.cfg.Sync.On() {
		return nil
	}
	r := &replica{channel: h.channel}
	if h.fleet != nil {
		r.path = h.fleet.path
	}
	return r
}

// status is how state sync stands; nodes are the names that the peers give themselves,
// by address.
func (r *replica) status(nodes map[string]string) control.Sync {
	if r == nil {
		return control.Sync{State: control.SyncOff}
	}
	st := r.channel.Status()
	out := control.Sync{Sealed: true, Rejected: byText(st.Rejected), Tables: r.tables(&st)}
	for i, id := range st.Keys {
		text := fmt.Sprintf("%08x", id)
		if i == 0 {
			out.KeyID = text
		} else {
			out.OtherKeyID = text
		}
	}
	for i := range st.Peers {
		p := peerStatus(&st.Peers[i])
		p.Since, p.Node = st.Sessions[i].Since, nodes[st.Sessions[i].Peer.String()]
		p.SameHostAs = sameHost(st.Peers[:i], st.Peers[i].Boot)
		out.Peers = append(out.Peers, p)
	}
	out.State = control.SyncState(out.Peers)
	if st.Flows {
		out.FlowsUnprotected = unprotected(&st, r.entries(&st, wire.Flows), func(p *conntrack.PeerStatus) int { return p.Flows.Waiting })
	}
	if st.Entries {
		out.ConntrackUnprotected = unprotected(&st, r.entries(&st, wire.Entries), func(p *conntrack.PeerStatus) int { return p.Entries.Waiting })
	}
	return out
}

// sameHost is the address of the first peer with a boot, which no two hosts share; empty
// if there is none, or the boot is not known.
func sameHost(peers []conntrack.PeerStatus, boot uint64) string {
	at := slices.IndexFunc(peers, func(p conntrack.PeerStatus) bool { return p.Boot == boot })
	if boot == 0 || at < 0 {
		return ""
	}
	return peers[at].Addr.String()
}

// unprotected is how many records of a table would be lost if this host failed now: what
// the peer that lacks least has not acknowledged, or all while none is covered. What is
// under way may be of the other table.
func unprotected(st *statesync.Status, all int, waiting func(*conntrack.PeerStatus) int) int {
	least, covered := 0, false
	for i := range st.Peers {
		p := &st.Peers[i]
		if !p.Covered || p.State == conntrack.Connecting {
			continue
		}
		if n := waiting(p) + p.UnderWay; !covered || n < least {
			least, covered = n, true
		}
	}
	if !covered {
		return all
	}
	return least
}

// entries is how many records a table has.
func (r *replica) entries(st *statesync.Status, table wire.Table) int {
	if table == wire.Entries {
		return st.EntryCount
	}
	if r.path == nil {
		return 0
	}
	counted, _ := r.path.Counted()
	return counted.Total()
}

func (r *replica) tables(st *statesync.Status) []control.SyncTable {
	var out []control.SyncTable
	add := func(name string, table wire.Table, of func(*conntrack.PeerStatus) conntrack.Taken) {
		t := control.SyncTable{Name: name, Entries: r.entries(st, table)}
		for i := range st.Peers {
			taken := of(&st.Peers[i])
			t.Applied += taken.Added + taken.Altered + taken.Removed
			t.Kept += taken.Kept
			t.Failed += taken.Failed
			t.Swept += taken.Swept
		}
		if table == wire.Entries {
			t.Events = entryEvents(st.EntryEvents)
		}
		out = append(out, t)
	}
	if st.Flows {
		add(control.SyncFlows, wire.Flows, func(p *conntrack.PeerStatus) conntrack.Taken { return p.Flows.Taken })
	}
	if st.Entries {
		add(control.SyncConntrack, wire.Entries, func(p *conntrack.PeerStatus) conntrack.Taken { return p.Entries.Taken })
	}
	return out
}

func entryEvents(f nfct.Figures) map[string]uint64 {
	return map[string]uint64{
		"told": f.Told, "gone": f.Gone, "ignored": f.Ignored, "incomplete": f.Incomplete,
		"unsupported": f.Unsupported, "malformed": f.Malformed, "overrun": f.Overruns,
	}
}

func peerStatus(p *conntrack.PeerStatus) control.SyncPeer {
	out := control.SyncPeer{
		Address: p.Addr.String(), State: p.State.String(), Reason: p.Incompatible, Version: int(p.Version),
		Covered: p.Covered, Backlog: p.Flows.Waiting + p.Entries.Waiting, UnderWay: p.UnderWay, OldestMS: inMS(p.Oldest),
		Resyncs: byText(p.Resyncs), LastResync: string(p.LastResync),
		Sent: p.Sent.Datagrams, SentBytes: p.Sent.Bytes, Received: p.Received.Datagrams, ReceivedBytes: p.Received.Bytes,
		Retransmitted: p.Resent, Rejected: byText(p.Rejected),
	}
	if p.Greeted {
		out.ConfigSame = &p.SameConfig
	}
	if p.Lag.Samples > 0 {
		out.Lag = &control.SyncLag{P50MS: inMS(p.Lag.P50), P99MS: inMS(p.Lag.P99), MaxMS: inMS(p.Lag.Max)}
	}
	for _, t := range []conntrack.TableStatus{p.Flows, p.Entries} {
		d := t.Taken.Diverged
		out.DivergenceFound += d.Missing + d.Different + d.Stale
	}
	return out
}

func inMS(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// byText has counts by the text that is shown.
func byText[K ~string](counts map[K]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(counts))
	for k, n := range counts {
		out[string(k)] = n
	}
	return out
}

// scrape is what the metrics show.
func (r *replica) scrape() metrics.Sync {
	st := r.status(nil)
	out := metrics.Sync{State: st.State, Sealed: st.Sealed, Rejected: st.Rejected}
	for _, id := range []string{st.KeyID, st.OtherKeyID} {
		if id != "" {
			out.Keys = append(out.Keys, id)
		}
	}
	for _, p := range st.Peers {
		addr, err := netip.ParseAddr(p.Address)
		if err != nil {
			continue
		}
		peer := metrics.SyncPeer{
			Address: addr, State: p.State, Version: p.Version, ConfigSame: p.ConfigSame, Covered: p.Covered,
			Backlog: p.Backlog, UnderWay: p.UnderWay, Oldest: ofMS(p.OldestMS), Resyncs: p.Resyncs,
			DivergenceFound: p.DivergenceFound, Sent: p.Sent, SentBytes: p.SentBytes,
			Received: p.Received, ReceivedBytes: p.ReceivedBytes, Retransmitted: p.Retransmitted, Rejected: p.Rejected,
		}
		if p.Lag != nil {
			peer.Lag = &metrics.SyncLag{P50: ofMS(p.Lag.P50MS), P99: ofMS(p.Lag.P99MS), Max: ofMS(p.Lag.MaxMS)}
		}
		out.Peers = append(out.Peers, peer)
	}
	unprotected := map[string]int{control.SyncFlows: st.FlowsUnprotected, control.SyncConntrack: st.ConntrackUnprotected}
	for _, t := range st.Tables {
		out.Tables = append(out.Tables, metrics.SyncTable{
			Name: t.Name, Entries: t.Entries, Unprotected: unprotected[t.Name],
			Applied: t.Applied, Kept: t.Kept, Failed: t.Failed, Swept: t.Swept, Events: t.Events,
		})
	}
	return out
}

func ofMS(ms float64) time.Duration { return time.Duration(ms * 1e6) }
