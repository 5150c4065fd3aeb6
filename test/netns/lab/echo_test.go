// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

func TestServedBy(t *testing.T) {
	l := ForTest(t, Options{})
	a, b := l.Pair()
	ctx, cancel := contextWithin(t, 10*time.Second)
	defer cancel()
	for _, h := range []*Host{a, b} {
		if err := h.StartHAProxy(ctx); err != nil {
			t.Fatal(err)
		}
		for _, to := range []netip.Addr{h.Addr, h.Addr6} {
			conn, err := l.Client().Dial(ctx, "tcp", net.JoinHostPort(to.String(), strconv.Itoa(HeldPort)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			client := conn.LocalAddr().(*net.TCPAddr).AddrPort()
			buf := []byte("x")
			if _, err := conn.Write(buf); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, buf); err != nil || buf[0] != 'x' {
				t.Fatalf("echo %q, %v", buf, err)
			}
			if got := l.ServedBy(client); got != h {
				t.Errorf("served by %v, want %s", got, h.Name)
			}
			conn.Close()
			if err := Eventually(ctx, "the connection to be forgotten", func() bool { return l.ServedBy(client) == nil }); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReadProxyHeader(t *testing.T) {
	tests := []struct {
		line, want string
	}{
		{"PROXY TCP4 10.0.0.1 10.0.0.2 56324 443\r\nrest", "10.0.0.1:56324"},
		{"PROXY TCP6 fd00::1 fd00::2 1 2\r\n", "[fd00::1]:1"},
		{"PROXY UNKNOWN\r\n", ""},
		{"GET / HTTP/1.1 and two more\r\n", ""},
		{"PROXY TCP4 10.0.0.1 10.0.0.2 x 443\r\n", ""},
		{"PROXY TCP4", ""},
	}
	for _, tt := range tests {
		got, err := readProxyHeader(bufio.NewReader(strings.NewReader(tt.line)))
		if (err == nil) != (tt.want != "") || err == nil && got.String() != tt.want {
			t.Errorf("%q: %v, %v", tt.line, got, err)
		}
	}
}
