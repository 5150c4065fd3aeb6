// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hafast/test/netns/lab"
)

// serve accepts connections on the loopback until the test ends.
func serve(t *testing.T, handle func(net.Conn)) (netip.AddrPort, func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	stop := sync.OnceFunc(func() {
		ln.Close()
		wg.Wait()
	})
	t.Cleanup(stop)
	return ln.Addr().(*net.TCPAddr).AddrPort(), stop
}

func page(conn net.Conn) {
	buf := make([]byte, 1024)
	if _, err := conn.Read(buf); err != nil {
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(lab.PageText), lab.PageText)
}

func TestFetchOutcomes(t *testing.T) {
	gone, stop := serve(t, page)
	stop()
	good, _ := serve(t, page)
	wrong, _ := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
	})
	silent, _ := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	tests := []struct {
		name   string
		target netip.AddrPort
		want   Outcome
	}{
		{"served", good, OK},
		{"nobody listens", gone, Refused},
		{"an error page", wrong, Broken},
		{"no answer", silent, TimedOut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newLoad(tt.target, time.Millisecond).fetch(t.Context()); got != tt.want {
				t.Errorf("got outcome %d, want %d", got, tt.want)
			}
		})
	}
}

// TestClientConversation holds the whole conversation with a client: load and held
// connections, rest, the fault (half of the connections die), probe, report.
func TestClientConversation(t *testing.T) {
	web, _ := serve(t, page)
	var mu sync.Mutex
	var conns []net.Conn
	echo, _ := serve(t, func(c net.Conn) {
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		_, _ = io.Copy(c, c)
	})

	commands, toClient := io.Pipe()
	fromClient, replies := io.Pipe()
	finished := make(chan error, 1)
	go func() {
		finished <- runClient(context.Background(),
			settings{Target: web, Held: echo, HeldN: 6, Beat: beatInterval, Interval: 2 * time.Millisecond}, commands, replies)
		replies.Close()
	}()
	decoder := json.NewDecoder(fromClient)
	// next returns the first message that satisfies want.
	next := func(want func(message) bool) message {
		t.Helper()
		for {
			var m message
			if err := decoder.Decode(&m); err != nil {
				t.Fatalf("read from the client: %v", err)
			}
			if want(m) {
				return m
			}
		}
	}
	say := func(command string) {
		t.Helper()
		if _, err := io.WriteString(toClient, command+"\n"); err != nil {
			t.Fatal(err)
		}
	}

	next(func(m message) bool { return m.Progress != nil && m.Progress.Held == 6 && m.Progress.Attempts > 20 })
	say(cmdRest)
	if m := next(func(m message) bool { return m.Standing != nil }); len(m.Standing.Held) != 6 {
		t.Errorf("%d connections rest, want 6", len(m.Standing.Held))
	}
	mu.Lock()
	for _, c := range conns[:3] {
		c.Close()
	}
	mu.Unlock()
	say(cmdProbe)
	if m := next(func(m message) bool { return m.Probed != nil }); len(m.Probed.Survivors) != 3 {
		t.Errorf("%d connections survived, want 3", len(m.Probed.Survivors))
	}
	say(cmdStop)
	report := next(func(m message) bool { return m.Report != nil }).Report
	for _, a := range *report {
		if a.Outcome != OK {
			t.Errorf("an attempt had outcome %d", a.Outcome)
		}
	}
	_, _ = io.Copy(io.Discard, fromClient)
	if err := <-finished; err != nil {
		t.Errorf("the client ended with %v", err)
	}
}

func TestClientEndsWithItsInput(t *testing.T) {
	web, _ := serve(t, page)
	var out bytes.Buffer
	err := runClient(t.Context(), settings{Target: web, Held: web, HeldN: 1, Beat: beatInterval, Interval: time.Millisecond},
		bytes.NewReader(nil), &out)
	if err != nil {
		t.Errorf("got %v", err)
	}
	err = runClient(t.Context(), settings{Target: web, Held: web, HeldN: 1, Beat: beatInterval, Interval: time.Millisecond},
		bytes.NewReader([]byte("dance\n")), &out)
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("an unknown command: got %v", err)
	}
}
