// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hafast/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves backend on a socket of its own and returns a client and a
// function that stops the server and waits for it.
func start(t *testing.T, backend control.Backend) (*control.Client, context.CancelFunc) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hafast.sock")
	ln, err := control.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.NewServer(backend, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	stop := func() {
		cancel()
		if done == nil {
			return
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		done = nil
	}
	t.Cleanup(stop)
	return control.NewClient(path), stop
}

func TestStatusRoundTrip(t *testing.T) {
	want := control.Status{
		Node: "haa", Version: "1.0", Uptime: 12.5, Drained: true,
		Instances: []control.Instance{{
			Name: "VI_1", VRID: 51, Interface: "eth0", Version: 3, State: "active",
			Priority: 101, EffectivePriority: 103, VIPs: []string{"10.224.147.208/32"},
			Active: "10.224.147.166", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}},
		Targets: []control.Target{
			{Node: "haa", Address: "10.224.147.166", State: "drain", Self: true, Place: new(0), Services: 2, Connections: new(12), Reason: "drained"},
			{Node: "hab", Address: "10.224.147.167", State: "up", Place: new(1), Services: 2},
		},
		Checks: []control.Check{{Name: "haproxy", Up: true, Detail: "pid 7"}},
		Liveness: []control.Liveness{{
			Peer: "hab", Address: "10.224.147.167", State: "up", IntervalMS: 2, Multiplier: 3, RTTMicroseconds: 120.5,
			Sent: 100, Answered: 98, Missed: 1, LongestMiss: 1, MissRuns: []uint64{1}, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}},
		Sync: control.Sync{
			State: control.SyncInSync, Sealed: true, KeyID: "1a2b3c4d", OtherKeyID: "5e6f7081", FlowsUnprotected: 2, ConntrackUnprotected: 1,
			Peers: []control.SyncPeer{{
				Node: "hab", Address: "10.9.0.167", State: control.SyncInSync, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
				Version: 1, ConfigSame: new(true), Lag: &control.SyncLag{P50MS: 1.2, P99MS: 3, MaxMS: 17.5}, Covered: true, Backlog: 1, UnderWay: 2, OldestMS: 2.5,
				Resyncs: map[string]uint64{"start": 1}, LastResync: "start", DivergenceFound: 2,
				Sent: 10, SentBytes: 1000, Received: 11, ReceivedBytes: 1100, Retransmitted: 1, Rejected: map[string]uint64{"auth": 1},
			}},
			Tables:   []control.SyncTable{{Name: control.SyncFlows, Entries: 512, Applied: 20, Kept: 1, Failed: 2, Swept: 3}},
			Rejected: map[string]uint64{"magic": 1},
		},
		XDP: control.XDP{
			Mode: "native", Lacks: []string{"this kernel has no X"}, Interfaces: []control.XDPInterface{{Name: "eth0", Mode: "native", Adopted: true}},
			Lease:    &control.Lease{Fresh: true, RemainingMS: 81.5, Lapses: 1},
			Services: []control.XDPService{{VIP: "10.224.147.208", Port: 443, Proto: "tcp", Targets: []string{"haa", "hab"}}},
			Flows:    512, FlowCapacity: 1 << 18, Counters: map[string]uint64{"tx_flow": 7},
		},
	}
	client, _ := start(t, &fakeBackend{status: want})
	got, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// Readers of the JSON may range over every list without asking for null.
func TestAnswersHaveNoNullLists(t *testing.T) {
	backend := &fakeBackend{status: control.Status{
		Instances: []control.Instance{{Name: "VI_1"}},
		Sync:      control.Sync{Peers: []control.SyncPeer{{Address: "10.9.0.167"}}},
		XDP:       control.XDP{Services: []control.XDPService{{VIP: "10.0.0.1"}}},
	}}
	handler := control.NewServer(backend, slog.New(slog.DiscardHandler)).Handler()
	for _, request := range []string{"GET /v1/status", "GET /v1/events", "POST /v1/drain"} {
		method, path, _ := strings.Cut(request, " ")
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		if rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), "null") {
			t.Errorf("%s answers %d %s", request, rec.Code, rec.Body)
		}
	}
}

func TestEventsSince(t *testing.T) {
	backend := &fakeBackend{}
	client, _ := start(t, backend)
	for range 5 {
		backend.Append(control.Event{Kind: "transition"})
	}
	got, err := client.Events(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{4, 5}, seqs(got)); diff != "" {
		t.Errorf("seqs (-want +got):\n%s", diff)
	}
}

func TestReady(t *testing.T) {
	backend := &fakeBackend{}
	client, _ := start(t, backend)
	if err := client.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if backend.readied != 1 {
		t.Errorf("the backend was told %d times, want once", backend.readied)
	}
}

func TestDrain(t *testing.T) {
	moved := control.DrainResult{
		Moved:       []control.Handover{{Instance: "VI_1", VIPs: []string{"10.0.0.1/32"}, To: "10.0.0.3"}},
		Kept:        []control.Handover{},
		Connections: new(12),
	}
	kept := control.DrainResult{
		Moved: []control.Handover{},
		Kept:  []control.Handover{{Instance: "VI_1", VIPs: []string{"10.0.0.1/32"}, Reason: "nobody took over"}},
	}
	tests := []struct {
		name  string
		drain func(context.Context) (control.DrainResult, error)
		want  control.DrainResult
	}{
		{
			name:  "taken over",
			drain: func(context.Context) (control.DrainResult, error) { return moved, nil },
			want:  moved,
		},
		{
			name: "nobody takes over in time",
			drain: func(ctx context.Context) (control.DrainResult, error) {
				<-ctx.Done()
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return control.DrainResult{}, errors.New("ended before its time")
				}
				return kept, nil
			},
			want: kept,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := start(t, &fakeBackend{drain: tt.drain})
			got, err := client.Drain(t.Context(), 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

// A client that goes away gives its drain back to the daemon to decide about.
func TestDrainSeesClientLeave(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	client, _ := start(t, &fakeBackend{drain: func(ctx context.Context) (control.DrainResult, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return control.DrainResult{}, ctx.Err()
	}})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-began; leave() }()
	if _, err := client.Drain(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("client got %v, want its own cancellation", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the backend saw %v, want a cancellation", err)
	}
}

func TestBackendErrorsReachClient(t *testing.T) {
	client, _ := start(t, &fakeBackend{err: errors.New("the loop has stopped")})
	_, statusErr := client.Status(t.Context())
	_, eventsErr := client.Events(t.Context(), 0)
	_, drainErr := client.Drain(t.Context(), 0)
	_, flowsErr := listed(client.Flows(t.Context(), 0))
	var followErr error
	for _, err := range client.Follow(t.Context(), 0) {
		followErr = err
	}
	for name, err := range map[string]error{
		"status": statusErr, "events": eventsErr, "drain": drainErr, "flows": flowsErr,
		"ready": client.Ready(t.Context()), "follow": followErr,
	} {
		var answer *control.Error
		if !errors.As(err, &answer) || answer.Code != http.StatusInternalServerError || err.Error() != "the loop has stopped" {
			t.Errorf("%s: got %v (%T), want the backend's words with status 500", name, err, err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	tests := []struct {
		name, method, target, body string
		code                       int
		words                      string
	}{
		{"unknown path", "GET", "/v2/status", "", 404, "no such request: /v2/status"},
		{"wrong method on status", "POST", "/v1/status", "", 405, "/v1/status does not take POST"},
		{"drain by GET", "GET", "/v1/drain", "", 405, "/v1/drain does not take GET"},
		{"since is a word", "GET", "/v1/events?since=yesterday", "", 400, `since "yesterday"`},
		{"since is negative", "GET", "/v1/events?since=-1", "", 400, `since "-1"`},
		{"follow is a word", "GET", "/v1/events?follow=please", "", 400, `follow "please"`},
		{"flows by POST", "POST", "/v1/flows", "", 405, "/v1/flows does not take POST"},
		{"limit is a word", "GET", "/v1/flows?limit=few", "", 400, `limit "few"`},
		{"limit is zero", "GET", "/v1/flows?limit=0", "", 400, `limit "0"`},
		{"timeout has no unit", "POST", "/v1/drain?timeout=10", "", 400, `timeout "10"`},
		{"timeout is zero", "POST", "/v1/drain?timeout=0s", "", 400, `timeout "0s"`},
		{"timeout is endless", "POST", "/v1/drain?timeout=90m", "", 400, "up to 1h"},
	}
	handler := control.NewServer(&fakeBackend{}, slog.New(slog.DiscardHandler)).Handler()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
			if rec.Code != tt.code {
				t.Errorf("status %d, want %d", rec.Code, tt.code)
			}
			var answer struct{ Error string }
			if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
				t.Fatalf("answer %q: %v", rec.Body, err)
			}
			if !strings.Contains(answer.Error, tt.words) {
				t.Errorf("error %q lacks %q", answer.Error, tt.words)
			}
		})
	}
}

func TestServeReportsFailedListener(t *testing.T) {
	ln, err := control.Listen(filepath.Join(t.TempDir(), "s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	err = control.NewServer(&fakeBackend{}, slog.New(slog.DiscardHandler)).Serve(t.Context(), ln)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the listener's error", err)
	}
}

func TestServerDropsOversizedHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- control.NewServer(&fakeBackend{}, slog.New(slog.DiscardHandler)).Serve(ctx, ln)
	}()
	defer func() { cancel(); <-done }()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	if string(answer) != "HTTP/1.1 431" {
		t.Errorf("answer %q, want status 431", answer)
	}
}

func TestClientExplains(t *testing.T) {
	tests := []struct {
		name  string
		path  func(t *testing.T, dir string) string
		is    error
		words string
	}{
		{
			name:  "no socket",
			path:  func(_ *testing.T, dir string) string { return filepath.Join(dir, "none") },
			is:    control.ErrNotRunning,
			words: "is hafast running? start it with 'hafast run'",
		},
		{
			name: "stale socket",
			path: func(t *testing.T, dir string) string {
				staleSocket(t, filepath.Join(dir, "s"))
				return filepath.Join(dir, "s")
			},
			is:    control.ErrNotRunning,
			words: "is hafast running?",
		},
		{
			name: "plain file",
			path: func(t *testing.T, dir string) string {
				if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(dir, "f")
			},
			is:    control.ErrNotRunning, // The kernel answers ECONNREFUSED for it.
			words: "name its socket with --socket",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path(t, t.TempDir())
			_, err := control.NewClient(path).Status(t.Context())
			if !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if err == nil || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q lacks %q or the path", err, tt.words)
			}
		})
	}
}

func TestClientExplainsMutedDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path) // Accepts in the kernel, answers nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = control.NewClient(path).Status(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}
