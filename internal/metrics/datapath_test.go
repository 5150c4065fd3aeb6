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

var (
	haa = netip.MustParseAddr("10.0.0.11")
	hab = netip.MustParseAddr("10.0.0.12")
)

// dataPath has something of everything.
func dataPath() metrics.DataPath {
	return metrics.DataPath{
		Interfaces: []metrics.Interface{{Name: "eth0", Mode: "native"}, {Name: "eth1", Mode: "generic"}},
		Packets:    map[string]uint64{"tx_flow": 7, "drop_arp_lease": 0},
		Flows: []metrics.FlowTable{
			{Proto: "tcp", Family: "ipv4", Flows: 512, Capacity: 1 << 18},
			{Proto: "udp", Family: "ipv6", Capacity: 1 << 16},
		},
		Services: 2,
		ByService: []metrics.Service{
			{VIP: netip.MustParseAddrPort("10.0.0.9:443"), Proto: "tcp", Flows: 510, Traffic: []metrics.Traffic{
				{Target: haa, Verdict: metrics.VerdictLocal, Packets: 70, Bytes: 7000},
				{Target: hab, Verdict: metrics.VerdictPeer, Packets: 30, Bytes: 3000},
			}},
			{VIP: netip.MustParseAddrPort("[fd00::9]:53"), Proto: "udp", Flows: -1, Traffic: []metrics.Traffic{
				{Target: hab, Verdict: metrics.VerdictPeer, Packets: 1, Bytes: 100},
				{Verdict: metrics.VerdictNobody, Packets: 2, Bytes: 120},
			}},
			{Flows: -1, Traffic: []metrics.Traffic{{Target: hab, Verdict: metrics.VerdictPeer, Packets: 5, Bytes: 300}}},
		},
		Targets: []metrics.Target{{Address: haa, State: "up"}, {Address: hab, State: "drain", LegTo: "lost", LegFrom: "proved"}},
		Peers: []metrics.Peer{{
			Address: hab, State: "admin_down", Answered: 98, Missed: 2, LongestMiss: 1,
			RTT: metrics.Histogram{
				Sum:    3 * time.Millisecond,
				Bounds: []time.Duration{16 * time.Microsecond, 32 * time.Microsecond},
				Counts: []uint64{90, 5, 3},
			},
		}},
		HellosRejected: map[string]uint64{"ttl": 1, "version": 0},
	}
}

// watching shows what the returned pointer points at.
func watching(m *metrics.Metrics) *metrics.DataPath {
	dp := dataPath()
	m.WatchDataPath(func(context.Context) (metrics.DataPath, error) { return dp, nil })
	return &dp
}

func TestDataPath(t *testing.T) {
	m := metrics.New("1.0")
	watching(m)
	m.LeaseRenewed(300 * time.Microsecond)
	m.LeaseLapsed()
	m.FalseAlarm()
	m.XDPFallback(true)
	body := scrape(t, m)
	if n := len(series(body, "hafast_service_flows{")); n != 1 {
		t.Errorf("%d services have a number of flows, of one nobody has counted them", n)
	}
	for _, line := range []string{
		`hafast_xdp_fallback 1`,
		`hafast_xdp_mode{interface="eth0",mode="native"} 1`,
		`hafast_xdp_mode{interface="eth0",mode="generic"} 0`,
		`hafast_xdp_mode{interface="eth0",mode="off"} 0`,
		`hafast_xdp_mode{interface="eth1",mode="generic"} 1`,
		`hafast_xdp_packets_total{reason="tx_flow"} 7`,
		`hafast_xdp_packets_total{reason="drop_arp_lease"} 0`,
		`hafast_flows{family="ipv4",proto="tcp"} 512`,
		`hafast_flows{family="ipv6",proto="udp"} 0`,
		`hafast_flows_capacity{family="ipv4",proto="tcp"} 262144`,
		`hafast_services 2`,
		`hafast_service_packets_total{service="10.0.0.9:443/tcp",target="10.0.0.11",verdict="local"} 70`,
		`hafast_service_packets_total{service="10.0.0.9:443/tcp",target="10.0.0.12",verdict="peer"} 30`,
		`hafast_service_bytes_total{service="10.0.0.9:443/tcp",target="10.0.0.12",verdict="peer"} 3000`,
		`hafast_service_packets_total{service="[fd00::9]:53/udp",target="10.0.0.12",verdict="peer"} 1`,
		`hafast_service_packets_total{service="[fd00::9]:53/udp",target="none",verdict="nobody"} 2`,
		`hafast_service_packets_total{service="other",target="10.0.0.12",verdict="peer"} 5`,
		`hafast_service_flows{service="10.0.0.9:443/tcp"} 510`,
		`hafast_target_state{state="up",target="10.0.0.11"} 1`,
		`hafast_target_state{state="up",target="10.0.0.12"} 0`,
		`hafast_target_state{state="drain",target="10.0.0.12"} 1`,
		`hafast_leg_state{direction="to",state="lost",target="10.0.0.12"} 1`,
		`hafast_leg_state{direction="to",state="proved",target="10.0.0.12"} 0`,
		`hafast_leg_state{direction="from",state="proved",target="10.0.0.12"} 1`,
		`hafast_liveness_state{peer="10.0.0.12",state="admin_down"} 1`,
		`hafast_liveness_state{peer="10.0.0.12",state="up"} 0`,
		`hafast_liveness_probes_total{peer="10.0.0.12",result="answered"} 98`,
		`hafast_liveness_probes_total{peer="10.0.0.12",result="missed"} 2`,
		`hafast_liveness_longest_miss{peer="10.0.0.12"} 1`,
		`hafast_liveness_rtt_seconds_bucket{peer="10.0.0.12",le="1.6e-05"} 90`,
		`hafast_liveness_rtt_seconds_bucket{peer="10.0.0.12",le="3.2e-05"} 95`,
		`hafast_liveness_rtt_seconds_bucket{peer="10.0.0.12",le="+Inf"} 98`,
		`hafast_liveness_rtt_seconds_sum{peer="10.0.0.12"} 0.003`,
		`hafast_liveness_rtt_seconds_count{peer="10.0.0.12"} 98`,
		`hafast_hellos_rejected_total{reason="ttl"} 1`,
		`hafast_hellos_rejected_total{reason="version"} 0`,
		`hafast_lease_lapses_total 1`,
		`hafast_liveness_false_alarms_total 1`,
		`hafast_lease_late_seconds_bucket{le="0.00025"} 0`,
		`hafast_lease_late_seconds_bucket{le="0.0005"} 1`,
	} {
		wantLine(t, body, line)
	}
}

// Each scrape shows what is there at that moment, and nothing of what is gone.
func TestDataPathFollows(t *testing.T) {
	m := metrics.New("1.0")
	dp := watching(m)
	_ = scrape(t, m)

	dp.Packets["tx_flow"] = 8
	dp.Interfaces = dp.Interfaces[:1]
	dp.Targets[0].State = "down"
	dp.Targets = dp.Targets[:1]
	dp.Peers, dp.ByService = nil, nil
	body := scrape(t, m)
	wantLine(t, body, `hafast_xdp_packets_total{reason="tx_flow"} 8`)
	wantLine(t, body, `hafast_target_state{state="down",target="10.0.0.11"} 1`)
	wantLine(t, body, `hafast_target_state{state="up",target="10.0.0.11"} 0`)
	for _, gone := range []string{`"10.0.0.12"`, `"eth1"`} {
		if strings.Contains(body, gone) {
			t.Errorf("a series with %s is left", gone)
		}
	}

	m.WatchDataPath(nil)
	if left := programSeries(scrape(t, m)); left != nil {
		t.Errorf("without a data path there is %v", left)
	}
}

// programSeries are those of an XDP program that runs.
func programSeries(body string) []string {
	return append(series(body, "hafast_xdp_mode"), series(body, "hafast_xdp_packets_total")...)
}

// A data path that cannot be read costs its own series, not the scrape.
func TestDataPathUnreadable(t *testing.T) {
	m := metrics.New("1.0")
	exercise(m)
	m.WatchDataPath(func(ctx context.Context) (metrics.DataPath, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the reading of the data path has no deadline")
		}
		return dataPath(), errors.New("the loop is stuck")
	})
	body := scrape(t, m)
	if left := programSeries(body); left != nil {
		t.Errorf("an unreadable data path shows %v", left)
	}
	wantLine(t, body, `hafast_check_up{check="chk_haproxy"} 1`)
}

// Whatever a snapshot holds, the number of series stays, and no series comes
// twice, which would cost the scrape all of them.
func TestDataPathIsBounded(t *testing.T) {
	m := metrics.New("1.0")
	dp := watching(m)
	addr := haa
	for i := range 1000 {
		stray := fmt.Sprintf("stray %d", i)
		dp.Packets[stray] = 1
		dp.HellosRejected[stray] = 1
		dp.Interfaces = append(dp.Interfaces, metrics.Interface{Name: "eth0", Mode: stray}, metrics.Interface{Name: stray, Mode: "native"})
		dp.Flows = append(dp.Flows, metrics.FlowTable{Proto: stray, Family: "ipv4"}, dp.Flows[0])
		addr = addr.Next()
		dp.Targets = append(dp.Targets, dp.Targets[0], metrics.Target{Address: addr, State: stray})
		dp.Peers = append(dp.Peers, dp.Peers[0], metrics.Peer{Address: addr, State: stray})
		dp.ByService = append(dp.ByService, dp.ByService[0], metrics.Service{
			VIP: netip.AddrPortFrom(addr, 80), Proto: "tcp", Flows: 1,
			Traffic: []metrics.Traffic{{Target: addr, Verdict: stray, Packets: 1, Bytes: 64}},
		})
	}
	body := scrape(t, m)
	for prefix, bound := range map[string]int{
		"hafast_xdp_packets_total{":     65,
		"hafast_hellos_rejected_total{": 65,
		"hafast_xdp_mode{":              64 * 3,
		"hafast_flows{":                 4,
		"hafast_target_state{":          16 * 4,
		"hafast_liveness_state{":        16 * 5,
		"hafast_liveness_probes_total{": 16 * 2,
		"hafast_service_flows{":         257,
		"hafast_service_packets_total{": 257 * 4,
	} {
		if n := len(series(body, prefix)); n == 0 || n > bound {
			t.Errorf("%d series of %s, want 1 to %d", n, prefix, bound)
		}
	}
	// 64 of 1002 reasons are shown; the others are tx_flow, with 7, and 937 strays.
	wantLine(t, body, `hafast_xdp_packets_total{reason="other"} 944`)
	wantLine(t, body, `hafast_target_state{state="unknown",target="10.0.0.13"} 1`)
	// 256 services are shown, two of them from the start. Nothing is lost.
	wantLine(t, body, `hafast_service_flows{service="other"} 746`)
	wantLine(t, body, `hafast_service_flows{service="10.0.0.9:443/tcp"} 510510`)
	wantLine(t, body, `hafast_service_bytes_total{service="10.0.0.9:443/tcp",target="10.0.0.12",verdict="peer"} 3.003e+06`)
	wantLine(t, body, `hafast_service_packets_total{service="other",target="other",verdict="other"} 746`)
	wantLine(t, body, `hafast_flows{family="ipv4",proto="tcp"} 512`)
}

func TestCounts(t *testing.T) {
	m := metrics.New("1.0")
	if left := series(scrape(t, m), "hafast_notify_"); left != nil {
		t.Errorf("counts that nobody keeps show as %v", left)
	}
	failed := uint64(1)
	m.WatchCounts(metrics.Counts{
		ClaimsMalformed: func() uint64 { return 3 },
		NotifyFailed:    func() uint64 { return failed },
	})
	failed = 2
	body := scrape(t, m)
	wantLine(t, body, `hafast_claims_malformed_total 3`)
	wantLine(t, body, `hafast_notify_failed_total 2`)
	if left := series(body, "hafast_notify_dropped_total "); left != nil {
		t.Errorf("a count that nobody keeps shows as %v", left)
	}
}
