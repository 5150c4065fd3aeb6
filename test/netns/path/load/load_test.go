// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  100 10 20 400 50 1 2 30 7 8")
	want := Machine{Busy: 1330 * time.Millisecond, Idle: 4500 * time.Millisecond, Steal: 300 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu 1 2 x 4 5 6 7 8"} {
		if _, err := parseMachine(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	tests := []struct {
		name, answer string
		ok           bool
	}{
		{"a page", "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nabc", true},
		{"an error", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nabc", false},
		{"a strange length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := bufio.NewReader(strings.NewReader(tt.answer))
			if err := readAnswer(in); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// counted is a web server that counts connections and requests.
func counted(t *testing.T) (target netip.AddrPort, conns, requests *atomic.Uint64) {
	t.Helper()
	conns, requests = new(atomic.Uint64), new(atomic.Uint64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, "page")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).AddrPort(), conns, requests
}

func TestHTTPLoads(t *testing.T) {
	tests := []struct {
		name  string
		kind  Kind
		renew int
		// perConn is how many requests go over a connection; 0 for any number.
		perConn uint64
	}{
		{"one connection for all", Requests, 0, 0},
		{"renewed", Requests, 5, 5},
		{"one for each", Connections, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, conns, requests := counted(t)
			const parallel = 2
			got, err := Spec{
				Kind: tt.kind, Target: target, Parallel: parallel, Renew: tt.renew,
				Warmup: 20 * time.Millisecond, Window: 200 * time.Millisecond,
			}.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Count == 0 || got.Failed != 0 || got.Count > requests.Load() || got.Elapsed < 200*time.Millisecond {
				t.Errorf("%+v, and the server says %d", got, requests.Load())
			}
			want := uint64(parallel)
			if tt.perConn > 0 {
				want = requests.Load() / tt.perConn
			}
			if n := conns.Load(); n < want || n > want+parallel {
				t.Errorf("%d connections for %d requests", n, requests.Load())
			}
		})
	}
}

func TestNobodyServes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	got, err := Spec{Kind: Requests, Target: target, Parallel: 1, Window: 50 * time.Millisecond}.run(t.Context())
	if err != nil || got.Count != 0 || got.Failed == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPacketsArrive(t *testing.T) {
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		ports sync.Map
		sizes sync.Map
	)
	wg.Go(func() {
		buf := make([]byte, 100)
		for {
			n, from, err := sink.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			ports.Store(from.Port(), true)
			sizes.Store(n, true)
		}
	})
	const flows = 3
	got, err := Spec{
		Kind: Packets, Target: sink.LocalAddr().(*net.UDPAddr).AddrPort(), Parallel: flows,
		Window: 50 * time.Millisecond,
	}.run(t.Context())
	sink.Close()
	wg.Wait()
	if err != nil || got.Count == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	keys := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	if keys(&ports) != flows || keys(&sizes) != 1 {
		t.Errorf("%d flows and %d sizes arrived, want %d and 1", keys(&ports), keys(&sizes), flows)
	}
}

func TestPace(t *testing.T) {
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	const pace = 20000
	got, err := Spec{
		Kind: PacedPackets, Target: sink.LocalAddr().(*net.UDPAddr).AddrPort(), Parallel: 1, Pace: pace,
		Window: 200 * time.Millisecond,
	}.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A busy machine may leave some out, but never more are sent.
	if limit := pace*got.Elapsed.Seconds() + 2*batch; got.Count == 0 || float64(got.Count) > limit {
		t.Errorf("%d packets in %v, at most %.0f are to be sent", got.Count, got.Elapsed, limit)
	}
}

func TestUnknownKind(t *testing.T) {
	if _, err := (Spec{Kind: "dance"}).run(t.Context()); err == nil {
		t.Error("it was accepted")
	}
}
