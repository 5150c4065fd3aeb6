// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hafast/internal/metrics"
)

// watchingSync shows what the returned pointer points at; it has something of everything.
func watchingSync(m *metrics.Metrics) *metrics.Sync {
	s := metrics.Sync{
		State: "in_sync", Sealed: true, Keys: []string{"1a2b3c4d", "5e6f7081"},
		Peers: []metrics.SyncPeer{{
			Address: hab, State: "in_sync", Version: 1, ConfigSame: new(false),
			Covered: true, Lag: &metrics.SyncLag{P50: time.Millisecond, P99: 3 * time.Millisecond, Max: 17 * time.Millisecond},
			Backlog: 4, UnderWay: 5, Oldest: 20 * time.Millisecond, Resyncs: map[string]uint64{"start": 1, "overflow": 0},
			DivergenceFound: 6, Sent: 8, SentBytes: 800, Received: 9, ReceivedBytes: 900, Retransmitted: 10,
			Rejected: map[string]uint64{"auth": 11, "replay": 0},
		}},
		Tables: []metrics.SyncTable{
			{Name: "flows", Entries: 512, Unprotected: 2, Applied: 12, Kept: 13, Failed: 14, Swept: 15},
			{Name: "conntrack", Entries: 9, Events: map[string]uint64{"told": 17, "overrun": 0}},
		},
		Rejected: map[string]uint64{"magic": 16},
	}
	m.WatchSync(func(context.Context) (metrics.Sync, error) { return s, nil })
	return &s
}

func TestSync(t *testing.T) {
	m := metrics.New("1.0")
	if left := series(scrape(t, m), "hafast_sync_"); left != nil {
		t.Errorf("without state sync there is %v", left)
	}
	watchingSync(m)
	body := scrape(t, m)
	for _, line := range []string{
		`hafast_sync_state{state="in_sync"} 1`,
		`hafast_sync_state{state="off"} 0`,
		`hafast_sync_sealed 1`,
		`hafast_sync_key_info{key="1a2b3c4d",use="seals"} 1`,
		`hafast_sync_key_info{key="5e6f7081",use="opens"} 1`,
		`hafast_sync_table_entries{table="flows"} 512`,
		`hafast_sync_table_entries{table="conntrack"} 9`,
		`hafast_sync_unprotected{table="flows"} 2`,
		`hafast_sync_records_total{result="applied",table="flows"} 12`,
		`hafast_sync_records_total{result="kept",table="flows"} 13`,
		`hafast_sync_records_total{result="failed",table="flows"} 14`,
		`hafast_sync_swept_total{table="flows"} 15`,
		`hafast_sync_events_total{result="told",table="conntrack"} 17`,
		`hafast_sync_events_total{result="overrun",table="conntrack"} 0`,
		`hafast_sync_peer_state{peer="10.0.0.12",state="in_sync"} 1`,
		`hafast_sync_peer_state{peer="10.0.0.12",state="syncing"} 0`,
		`hafast_sync_peer_version{peer="10.0.0.12"} 1`,
		`hafast_sync_peer_config_same{peer="10.0.0.12"} 0`,
		`hafast_sync_peer_covered{peer="10.0.0.12"} 1`,
		`hafast_sync_lag_seconds{peer="10.0.0.12",stat="p50"} 0.001`,
		`hafast_sync_lag_seconds{peer="10.0.0.12",stat="p99"} 0.003`,
		`hafast_sync_lag_seconds{peer="10.0.0.12",stat="max"} 0.017`,
		`hafast_sync_oldest_change_seconds{peer="10.0.0.12"} 0.02`,
		`hafast_sync_sent_bytes_total{peer="10.0.0.12"} 800`,
		`hafast_sync_received_bytes_total{peer="10.0.0.12"} 900`,
		`hafast_sync_backlog{peer="10.0.0.12"} 4`,
		`hafast_sync_under_way{peer="10.0.0.12"} 5`,
		`hafast_sync_resyncs_total{peer="10.0.0.12",reason="start"} 1`,
		`hafast_sync_resyncs_total{peer="10.0.0.12",reason="overflow"} 0`,
		`hafast_sync_divergence_found_total{peer="10.0.0.12"} 6`,
		`hafast_sync_datagrams_sent_total{peer="10.0.0.12"} 8`,
		`hafast_sync_datagrams_received_total{peer="10.0.0.12"} 9`,
		`hafast_sync_retransmissions_total{peer="10.0.0.12"} 10`,
		`hafast_sync_datagrams_rejected_total{peer="10.0.0.12",reason="auth"} 11`,
		`hafast_sync_datagrams_rejected_total{peer="10.0.0.12",reason="replay"} 0`,
		`hafast_sync_datagrams_rejected_total{peer="other",reason="magic"} 16`,
	} {
		wantLine(t, body, line)
	}
}

// Each scrape shows what is there at that moment, and nothing of what is gone.
func TestSyncFollows(t *testing.T) {
	m := metrics.New("1.0")
	s := watchingSync(m)
	_ = scrape(t, m)

	s.State, s.Keys = "from the future", s.Keys[1:]
	s.Peers[0] = metrics.SyncPeer{Address: haa, State: "from the future"}
	body := scrape(t, m)
	wantLine(t, body, `hafast_sync_state{state="connecting"} 1`)
	wantLine(t, body, `hafast_sync_state{state="in_sync"} 0`)
	wantLine(t, body, `hafast_sync_key_info{key="5e6f7081",use="seals"} 1`)
	wantLine(t, body, `hafast_sync_peer_state{peer="10.0.0.11",state="connecting"} 1`)
	for _, gone := range []string{`"10.0.0.12"`, `"1a2b3c4d"`, `"from the future"`, "hafast_sync_peer_config_same{", "hafast_sync_lag_seconds{"} {
		if strings.Contains(body, gone) {
			t.Errorf("a series with %s is left", gone)
		}
	}

	m.WatchSync(nil)
	if left := series(scrape(t, m), "hafast_sync_"); left != nil {
		t.Errorf("after state sync there is %v", left)
	}
}

// State sync that cannot be read costs its own series, not the scrape.
func TestSyncUnreadable(t *testing.T) {
	m := metrics.New("1.0")
	exercise(m)
	m.WatchSync(func(context.Context) (metrics.Sync, error) { return metrics.Sync{}, errors.New("stuck") })
	body := scrape(t, m)
	if left := series(body, "hafast_sync_"); left != nil {
		t.Errorf("unreadable state sync shows %v", left)
	}
	wantLine(t, body, `hafast_check_up{check="chk_haproxy"} 1`)
}

// Whatever a snapshot holds, the number of series stays, and no series comes twice.
func TestSyncIsBounded(t *testing.T) {
	m := metrics.New("1.0")
	s := watchingSync(m)
	addr := netip.MustParseAddr("10.0.0.12")
	for i := range 1000 {
		stray := fmt.Sprintf("stray %d", i)
		addr = addr.Next()
		s.Keys = append(s.Keys, stray, s.Keys[0])
		s.Tables = append(s.Tables, s.Tables[0], metrics.SyncTable{Name: stray})
		s.Rejected[stray], s.Peers[0].Rejected[stray], s.Peers[0].Resyncs[stray] = 1, 1, 1
		s.Peers = append(s.Peers, s.Peers[0], metrics.SyncPeer{Address: addr, State: stray})
	}
	body := scrape(t, m)
	for prefix, bound := range map[string]int{
		"hafast_sync_state{":                    5,
		"hafast_sync_key_info{":                 2,
		"hafast_sync_table_entries{":            2,
		"hafast_sync_peer_state{":               15 * 4,
		"hafast_sync_peer_version{":             15,
		"hafast_sync_resyncs_total{":            65,
		"hafast_sync_datagrams_rejected_total{": 2 * 65,
	} {
		if n := len(series(body, prefix)); n == 0 || n > bound {
			t.Errorf("%d series of %s, want 1 to %d", n, prefix, bound)
		}
	}
}
