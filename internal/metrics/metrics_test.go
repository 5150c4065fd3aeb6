// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"hafast/internal/metrics"
	"hafast/pkg/vrrp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exercise touches every method, so that every metric has a series.
func exercise(m *metrics.Metrics) {
	m.SetInstance(metrics.Instance{Name: "VI_1", VRID: 51, Interface: "eth0", State: "active", Priority: 101, Effective: 103})
	m.Transition("VI_1", "backup", "active", string(vrrp.CauseTimeout))
	m.TakeoverPhase(metrics.PhaseAddress, 85*time.Microsecond)
	m.AdvertSent("VI_1")
	m.AdvertSendFailed("VI_1")
	m.AdvertReceived("VI_1")
	m.AdvertRejected("eth0", string(vrrp.RejectTTL))
	m.RivalClaim("VI_1", metrics.KindARP)
	m.VIPMended("VI_1")
	m.Announced(metrics.KindARP, 3)
	m.CheckUp("chk_haproxy", true)
	m.HAProxyUp(true)
	m.HAProxyRestarted()
	m.ConfigReloaded(nil)
	m.LoopLateness(time.Millisecond)
	m.LeaseRenewed(time.Millisecond)
	m.LeaseLapsed()
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, ln, nil) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	code, body := get(t, "http://"+ln.Addr().String()+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("scrape answers %d: %s", code, body)
	}
	return body
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// series returns the lines of the exposition that start with prefix.
func series(body, prefix string) []string {
	var lines []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func wantLine(t *testing.T, body, line string) {
	t.Helper()
	if !strings.Contains(body, line+"\n") {
		name, _, _ := strings.Cut(line, "{")
		t.Errorf("no line %q among\n%s", line, strings.Join(series(body, name), "\n"))
	}
}

func TestLint(t *testing.T) {
	m := everything()
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	body := scrape(t, m)
	problems, err = promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("exposition: %s: %s", p.Metric, p.Text)
	}
}

func TestPromtoolCheckMetrics(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	m := everything()
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, m))
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) != 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// The names and labels are a contract with dashboards and alerts.
func TestEveryMetricIsThere(t *testing.T) {
	m := metrics.New("1.0")
	exercise(m)
	body := scrape(t, m)
	for _, line := range []string{
		`hafast_instance_state{instance="VI_1",interface="eth0",state="active",vrid="51"} 1`,
		`hafast_instance_state{instance="VI_1",interface="eth0",state="backup",vrid="51"} 0`,
		`hafast_instance_state{instance="VI_1",interface="eth0",state="fault",vrid="51"} 0`,
		`hafast_instance_state{instance="VI_1",interface="eth0",state="init",vrid="51"} 0`,
		`hafast_instance_priority{instance="VI_1"} 101`,
		`hafast_instance_effective_priority{instance="VI_1"} 103`,
		`hafast_out_of_service{instance="VI_1"} 0`,
		`hafast_transitions_total{cause="timeout",from="backup",instance="VI_1",to="active"} 1`,
		`hafast_takeover_phase_seconds_bucket{phase="address",le="5e-05"} 0`,
		`hafast_takeover_phase_seconds_bucket{phase="address",le="0.0001"} 1`,
		`hafast_takeover_phase_seconds_count{phase="total"} 0`,
		`hafast_adverts_sent_total{instance="VI_1"} 1`,
		`hafast_advert_send_errors_total{instance="VI_1"} 1`,
		`hafast_adverts_received_total{instance="VI_1"} 1`,
		`hafast_adverts_rejected_total{interface="eth0",reason="ttl"} 1`,
		`hafast_adverts_rejected_total{interface="eth0",reason="checksum"} 0`,
		`hafast_rival_claims_total{instance="VI_1",kind="arp"} 1`,
		`hafast_rival_claims_total{instance="VI_1",kind="na"} 0`,
		`hafast_vips_mended_total{instance="VI_1"} 1`,
		`hafast_announcements_total{kind="arp"} 3`,
		`hafast_announcements_total{kind="na"} 0`,
		`hafast_check_up{check="chk_haproxy"} 1`,
		`hafast_haproxy_up 1`,
		`hafast_haproxy_restarts_total 1`,
		`hafast_config_reloads_total{result="ok"} 1`,
		`hafast_config_reloads_total{result="refused"} 0`,
		`hafast_loop_lateness_seconds_count 1`,
		`hafast_xdp_fallback 0`,
	} {
		wantLine(t, body, line)
	}
	if info := series(body, "hafast_build_info{"); len(info) != 1 || !strings.Contains(info[0], `version="1.0"`) {
		t.Errorf("build info: %v", info)
	}
	for _, collector := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if series(body, collector+" ") == nil {
			t.Errorf("no %s", collector)
		}
	}
}

func TestStateMoves(t *testing.T) {
	m := metrics.New("1.0")
	inst := metrics.Instance{Name: "VI_1", VRID: 51, Interface: "eth0", State: "backup"}
	m.SetInstance(inst)
	inst.State, inst.OutOfService = "active", true
	m.SetInstance(inst)
	body := scrape(t, m)
	wantLine(t, body, `hafast_instance_state{instance="VI_1",interface="eth0",state="backup",vrid="51"} 0`)
	wantLine(t, body, `hafast_instance_state{instance="VI_1",interface="eth0",state="active",vrid="51"} 1`)
	wantLine(t, body, `hafast_out_of_service{instance="VI_1"} 1`)
}

func TestChangedIdentityReplacesStateSeries(t *testing.T) {
	m := metrics.New("1.0")
	m.SetInstance(metrics.Instance{Name: "VI_1", VRID: 51, Interface: "eth0", State: "backup"})
	m.AdvertSent("VI_1")
	m.SetInstance(metrics.Instance{Name: "VI_1", VRID: 52, Interface: "eth1", State: "backup"})
	body := scrape(t, m)
	for _, line := range series(body, "hafast_instance_state{") {
		if !strings.Contains(line, `vrid="52"`) || !strings.Contains(line, `interface="eth1"`) {
			t.Errorf("a series of the old identity is left: %s", line)
		}
	}
	wantLine(t, body, `hafast_adverts_sent_total{instance="VI_1"} 1`)
}

func TestRetain(t *testing.T) {
	m := metrics.New("1.0")
	exercise(m)
	m.SetInstance(metrics.Instance{Name: "VI_2", VRID: 52, Interface: "eth1", State: "backup"})
	m.Transition("VI_2", "init", "backup", string(vrrp.CauseStartup))
	m.AdvertRejected("eth1", string(vrrp.RejectAuth))
	m.RivalClaim("VI_2", metrics.KindAdvert)
	m.VIPMended("VI_2")
	m.CheckUp("gone", false)

	m.Retain([]string{"VI_1"}, []string{"chk_haproxy"})

	body := scrape(t, m)
	for _, gone := range []string{`"VI_2"`, `"eth1"`, `"gone"`} {
		if strings.Contains(body, gone) {
			t.Errorf("a series with %s is left", gone)
		}
	}
	wantLine(t, body, `hafast_transitions_total{cause="timeout",from="backup",instance="VI_1",to="active"} 1`)
	wantLine(t, body, `hafast_adverts_rejected_total{interface="eth0",reason="ttl"} 1`)
	wantLine(t, body, `hafast_check_up{check="chk_haproxy"} 1`)
}

func TestRetainKeepsSharedInterface(t *testing.T) {
	m := metrics.New("1.0")
	for _, name := range []string{"VI_1", "VI_2"} {
		m.SetInstance(metrics.Instance{Name: name, VRID: 51, Interface: "eth0", State: "backup"})
	}
	m.AdvertRejected("eth0", string(vrrp.RejectTTL))
	m.Retain([]string{"VI_2"}, nil)
	wantLine(t, scrape(t, m), `hafast_adverts_rejected_total{interface="eth0",reason="ttl"} 1`)
}

func TestHAProxyIsAbsentUntilWatched(t *testing.T) {
	m := metrics.New("1.0")
	if series(scrape(t, m), "hafast_haproxy_up ") != nil {
		t.Error("haproxy_up is there before anyone looked at haproxy")
	}
	m.HAProxyUp(false)
	wantLine(t, scrape(t, m), "hafast_haproxy_up 0")
	m.HAProxyUnwatched()
	if series(scrape(t, m), "hafast_haproxy_up ") != nil {
		t.Error("haproxy_up is there after haproxy is no longer watched")
	}
}

// Whatever a packet or a caller says, the number of series stays.
func TestCardinalityIsBounded(t *testing.T) {
	m := metrics.New("1.0")
	exercise(m)
	const strays = 1000
	for i := range strays {
		stray := fmt.Sprintf("stray %d", i)
		m.Transition("VI_1", stray, stray, stray)
		m.TakeoverPhase(stray, time.Second)
		m.AdvertRejected("eth0", stray)
		m.RivalClaim("VI_1", stray)
		m.Announced(stray, 1)
	}
	body := scrape(t, m)
	if strings.Contains(body, "stray") {
		t.Errorf("a stray word became a label")
	}
	wantLine(t, body, fmt.Sprintf(`hafast_adverts_rejected_total{interface="eth0",reason="other"} %d`, strays))
	wantLine(t, body, fmt.Sprintf(`hafast_transitions_total{cause="other",from="other",instance="VI_1",to="other"} %d`, strays))
}

// The words of the state machine are the words of the labels.
func TestVRRPWordsAreKnown(t *testing.T) {
	m := metrics.New("1.0")
	m.SetInstance(metrics.Instance{Name: "VI_1", VRID: 1, Interface: "eth0", State: vrrp.Fault.String()})
	for _, reason := range vrrp.Rejects() {
		m.AdvertRejected("eth0", string(reason))
	}
	for _, state := range []vrrp.State{vrrp.Init, vrrp.Backup, vrrp.Active, vrrp.Fault} {
		m.Transition("VI_1", state.String(), state.String(), string(vrrp.CauseTimeout))
	}
	for _, phase := range []string{"decide", "address", "routes", "announce", "total"} {
		m.TakeoverPhase(phase, time.Millisecond)
	}
	for _, cause := range []string{
		"startup", "timeout", "priority_zero", "preempted", "higher_priority", "resigned",
		"shutdown", "sync_group", "owner", "fault", "recovered",
	} {
		m.Transition("VI_1", "init", "backup", cause)
	}
	if body := scrape(t, m); strings.Contains(body, `"other"`) {
		t.Errorf("a word of the state machine is counted as other:\n%s", strings.Join(series(body, "hafast_"), "\n"))
	}
}

func TestConcurrentUse(t *testing.T) {
	m := everything()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				exercise(m)
				m.Retain(nil, nil)
			}
		})
	}
	for range 5 {
		_ = scrape(t, m)
	}
	wg.Wait()
}

func TestHealthz(t *testing.T) {
	tests := []struct {
		name    string
		healthy func() error
		code    int
		body    string
	}{
		{"nobody to ask", nil, http.StatusOK, "ok\n"},
		{"healthy", func() error { return nil }, http.StatusOK, "ok\n"},
		{"not healthy", func() error { return errors.New("the loop is stuck") }, http.StatusServiceUnavailable, "the loop is stuck\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := metrics.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- metrics.New("1.0").Serve(ctx, ln, tt.healthy) }()
			code, body := get(t, "http://"+ln.Addr().String()+"/healthz")
			if code != tt.code || body != tt.body {
				t.Errorf("got %d %q, want %d %q", code, body, tt.code, tt.body)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestListenExplains(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name, addr string
		is         error
		words      string
	}{
		{"port in use", taken.Addr().String(), syscall.EADDRINUSE, "is in use by another process; stop it"},
		{"not our address", "192.0.2.1:9405", syscall.EADDRNOTAVAIL, "is not an address of this host"},
		{"no port", "127.0.0.1", nil, "wants address:port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := metrics.Listen(tt.addr)
			if err == nil {
				_ = ln.Close()
				t.Fatal("Listen succeeded")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), tt.addr) {
				t.Errorf("error %q lacks %q or the address", err, tt.words)
			}
		})
	}
}

func TestServeReportsFailedListener(t *testing.T) {
	ln, err := metrics.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := metrics.New("1.0").Serve(t.Context(), ln, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the listener's error", err)
	}
}
