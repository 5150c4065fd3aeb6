// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"encoding/json"
	"strings"
	"testing"

	"hafast/internal/control"
)

func TestSyncState(t *testing.T) {
	for _, tt := range []struct{ peers, want string }{
		{"", control.SyncConnecting},
		{"connecting", control.SyncConnecting},
		{"incompatible", control.SyncIncompatible},
		{"connecting incompatible", control.SyncIncompatible},
		{"in_sync", control.SyncInSync},
		{"in_sync connecting", control.SyncInSync},
		{"incompatible in_sync", control.SyncInSync},
		{"in_sync syncing", control.SyncSyncing},
		{"syncing", control.SyncSyncing},
	} {
		var peers []control.SyncPeer
		for _, state := range strings.Fields(tt.peers) {
			peers = append(peers, control.SyncPeer{State: state})
		}
		if got := control.SyncState(peers); got != tt.want {
			t.Errorf("peers %q: state %s, want %s", tt.peers, got, tt.want)
		}
	}
}

// The names are what users of the JSON rely on.
func TestSyncNames(t *testing.T) {
	text, err := json.Marshal(control.Sync{
		State: control.SyncOff, Reason: "x", KeyID: "k", OtherKeyID: "o",
		Peers: []control.SyncPeer{{
			SameHostAs: "s", Reason: "r", ConfigSame: new(false), Lag: &control.SyncLag{}, LastResync: "start",
			Resyncs: map[string]uint64{}, Rejected: map[string]uint64{},
		}},
		Tables: []control.SyncTable{{Name: control.SyncConntrack}}, Rejected: map[string]uint64{},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"state":"off","reason":"x","sealed":false,"key_id":"k","other_key_id":"o",` +
		`"peers":[{"node":"","address":"","same_host_as":"s","state":"","reason":"r","since":"0001-01-01T00:00:00Z","version":0,"config_same":false,"covered":false,` +
		`"lag":{"p50_ms":0,"p99_ms":0,"max_ms":0},"backlog":0,"under_way":0,"oldest_ms":0,"resyncs":{},"last_resync":"start",` +
		`"divergence_found":0,"sent":0,"sent_bytes":0,"received":0,"received_bytes":0,"retransmitted":0,"rejected":{}}],` +
		`"tables":[{"name":"conntrack","entries":0,"applied":0,"kept":0,"failed":0,"swept":0}],` +
		`"flows_unprotected":0,"conntrack_unprotected":0,"rejected":{}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
