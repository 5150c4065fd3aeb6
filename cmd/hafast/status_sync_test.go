// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/control"
)

func TestSyncLines(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	both := []control.SyncTable{{Name: control.SyncFlows, Entries: 512}, {Name: control.SyncConntrack, Entries: 9}}
	hab := control.SyncPeer{
		Node: "hab", Address: "10.9.0.167", State: control.SyncInSync, Since: now.Add(-time.Hour), Version: 1,
		ConfigSame: new(true), Covered: true, Lag: &control.SyncLag{P50MS: 1.2, P99MS: 3, MaxMS: 17}, Rejected: map[string]uint64{"auth": 0},
	}
	with := func(change func(p *control.SyncPeer)) []control.SyncPeer {
		p := hab
		change(&p)
		return []control.SyncPeer{p}
	}
	tests := []struct {
		name string
		sync control.Sync
		want string
	}{
		{"a daemon that knows nothing of it", control.Sync{}, ""},
		{"not asked for", control.Sync{State: control.SyncOff}, ""},
		{"asked for in vain", control.Sync{State: control.SyncOff, Reason: "port 9406 is in use"}, "sync: off (port 9406 is in use)"},
		{
			"a pair that is well",
			control.Sync{State: control.SyncInSync, Sealed: true, KeyID: "1a2b3c4d", Peers: []control.SyncPeer{hab}, Tables: both[:1]},
			"sync: in sync with hab (10.9.0.167), lag 1.2ms (p99 3.0ms), 0 flows unprotected",
		},
		{
			"both tables",
			control.Sync{State: control.SyncInSync, Peers: []control.SyncPeer{hab}, Tables: both, FlowsUnprotected: 1, ConntrackUnprotected: 12},
			"sync: in sync with hab (10.9.0.167), lag 1.2ms (p99 3.0ms), 1 flow and 12 conntrack entries unprotected",
		},
		{
			"conntrack alone, nothing to tell for a while",
			control.Sync{
				State: control.SyncInSync, Tables: both[1:], ConntrackUnprotected: 1,
				Peers: with(func(p *control.SyncPeer) { p.Lag = nil }),
			},
			"sync: in sync with hab (10.9.0.167), 1 conntrack entry unprotected",
		},
		{
			"a peer that has never been heard",
			control.Sync{State: control.SyncConnecting, FlowsUnprotected: 512, Peers: []control.SyncPeer{{Address: "10.9.0.167", State: control.SyncConnecting, Reason: "nothing heard yet"}}},
			"sync: connecting to 10.9.0.167 (nothing heard yet), 512 flows unprotected",
		},
		{
			"another key",
			control.Sync{State: control.SyncConnecting, FlowsUnprotected: 512, Peers: with(func(p *control.SyncPeer) {
				p.State, p.Reason, p.Lag, p.Since = control.SyncConnecting, "it has another key", nil, now.Add(-125*time.Second)
				p.Rejected = map[string]uint64{"key": 1200, "replay": 1, "auth": 0}
			})},
			`sync: connecting to hab (10.9.0.167) for 2m5s (it has another key), 512 flows unprotected
  from hab: 1201 refused (1200 key, 1 replay)`,
		},
		{
			"a peer that comes back",
			control.Sync{State: control.SyncSyncing, Peers: with(func(p *control.SyncPeer) {
				p.State, p.Since, p.Backlog = control.SyncSyncing, now.Add(-2*time.Second), 3401
			})},
			"sync: syncing with hab (10.9.0.167) for 2s, lag 1.2ms (p99 3.0ms), 3401 changes waiting, 0 flows unprotected",
		},
		{
			"a peer that has nothing of its own, and not yet all of this host's",
			control.Sync{State: control.SyncInSync, FlowsUnprotected: 1000000, Peers: with(func(p *control.SyncPeer) { p.Covered = false })},
			"sync: in sync with hab (10.9.0.167), which is still being told what is here, lag 1.2ms (p99 3.0ms), 1000000 flows unprotected",
		},
		{
			"a version apart",
			control.Sync{State: control.SyncIncompatible, FlowsUnprotected: 3, Peers: with(func(p *control.SyncPeer) {
				p.State, p.Reason, p.Lag, p.Since = control.SyncIncompatible, "it speaks versions 3 to 4, this host 1 to 2", nil, now.Add(-time.Minute)
			})},
			"sync: incompatible with hab (10.9.0.167) for 1m0s (it speaks versions 3 to 4, this host 1 to 2), 3 flows unprotected",
		},
		{
			"in sync with blemishes",
			control.Sync{
				State: control.SyncInSync, KeyID: "1a2b3c4d", OtherKeyID: "5e6f7081", Rejected: map[string]uint64{"magic": 4},
				Tables: []control.SyncTable{{Name: control.SyncFlows, Failed: 2}, {Name: control.SyncConntrack, Failed: 1}},
				Peers:  with(func(p *control.SyncPeer) { p.ConfigSame, p.DivergenceFound = new(false), 3 }),
			},
			`sync: in sync with hab (10.9.0.167), lag 1.2ms (p99 3.0ms), 0 flows and 0 conntrack entries unprotected
  hab has another configuration: instances, vips, services, balance and sync are to be alike
  hab: 3 differed from what it has, and were mended
  flows: 2 did not go into the table; if it is full, raise flows in the configuration
  conntrack: 1 did not go into the table; if it is full, raise net.netfilter.nf_conntrack_max
  from others: 4 refused (4 magic)
  keys: 1a2b3c4d seals, 5e6f7081 opens too`,
		},
		{
			"three hosts, one of them gone",
			control.Sync{State: control.SyncInSync, Peers: []control.SyncPeer{hab, {Node: "hac", Address: "10.9.0.168", State: control.SyncConnecting, Since: now.Add(-time.Hour)}}},
			`sync: in sync, 0 flows unprotected
  in sync with hab (10.9.0.167), lag 1.2ms (p99 3.0ms)
  connecting to hac (10.9.0.168) for 1h0m`,
		},
		{
			"a host by two of its addresses",
			control.Sync{State: control.SyncInSync, Peers: []control.SyncPeer{hab, {Address: "fd00::167", SameHostAs: "10.9.0.167", State: control.SyncInSync, Covered: true}}},
			`sync: in sync, 0 flows unprotected
  in sync with hab (10.9.0.167), lag 1.2ms (p99 3.0ms)
  in sync with fd00::167
  fd00::167 is the host of 10.9.0.167, which is told everything twice: name each host once under sync.peers, by the first of its addresses in peers, of one family on all hosts`,
		},
		{
			"nobody to sync with",
			control.Sync{State: control.SyncConnecting, Reason: "there are no peers", FlowsUnprotected: 2},
			"sync: connecting (there are no peers), 2 flows unprotected",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, strings.Join(syncLines(tt.sync, now), "\n")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
