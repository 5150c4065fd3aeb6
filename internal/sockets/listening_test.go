// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hafast/internal/eventually"
)

// same compares services; addresses have unexported fields that count.
func same(a, b []Service) string {
	return cmp.Diff(a, b, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

func TestListening(t *testing.T) {
	tests := []struct {
		name  string
		binds []string // "tcp4 10.0.0.9:80"
		want  []Service
	}{
		{name: "nothing", want: list()},
		{name: "on a VIP", binds: []string{"tcp4 10.0.0.9:80"}, want: list("tcp", "10.0.0.9:80")},
		{name: "on an IPv6 VIP", binds: []string{"tcp6 [fd00::9]:80"}, want: list("tcp", "[fd00::9]:80")},
		{name: "on a VIP by a mapped address", binds: []string{"mapped [::ffff:10.0.0.9]:80"}, want: list("tcp", "10.0.0.9:80")},
		{name: "wildcard", binds: []string{"tcp4 0.0.0.0:80"}, want: list("tcp", "10.0.0.8:80", "tcp", "10.0.0.9:80")},
		{
			name: "wildcard for both families", binds: []string{"tcp [::]:80"},
			want: list("tcp", "10.0.0.8:80", "tcp", "10.0.0.9:80", "tcp", "[fd00::8]:80", "tcp", "[fd00::9]:80"),
		},
		{name: "wildcard for IPv6 alone", binds: []string{"tcp6 [::]:80"}, want: list("tcp", "[fd00::8]:80", "tcp", "[fd00::9]:80")},
		{name: "mapped wildcard", binds: []string{"mapped [::ffff:0.0.0.0]:80"}, want: list("tcp", "10.0.0.8:80", "tcp", "10.0.0.9:80")},
		{name: "elsewhere", binds: []string{"tcp4 10.0.0.1:80", "tcp4 127.0.0.1:80", "tcp6 [::1]:80", "tcp6 [fd00::1]:80", "udp4 10.0.0.1:443"}, want: list()},
		{
			name: "each once, in order", binds: []string{"tcp4 10.0.0.9:443", "tcp4 10.0.0.9:80", "tcp4 10.0.0.8:443", "mapped [::ffff:10.0.0.9]:81"},
			want: list("tcp", "10.0.0.8:443", "tcp", "10.0.0.9:80", "tcp", "10.0.0.9:81", "tcp", "10.0.0.9:443"),
		},
		{name: "QUIC on a VIP", binds: []string{"udp4 10.0.0.9:443"}, want: list("udp", "10.0.0.9:443")},
		{name: "UDP on a wildcard", binds: []string{"udp4 0.0.0.0:514", "udp [::]:515"}, want: list()},
		{
			name: "QUIC on a wildcard beside TCP on a VIP", binds: []string{"udp4 0.0.0.0:443", "tcp4 10.0.0.9:443"},
			want: list("tcp", "10.0.0.9:443", "udp", "10.0.0.9:443"),
		},
		{
			name: "QUIC on a wildcard for both families beside TCP for one", binds: []string{"udp [::]:443", "tcp6 [::]:443"},
			want: list("tcp", "[fd00::8]:443", "udp", "[fd00::8]:443", "tcp", "[fd00::9]:443", "udp", "[fd00::9]:443"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := host(t)
			for _, b := range test.binds {
				network, address, _ := strings.Cut(b, " ")
				if network == "mapped" {
					bindMapped(t, address)
				} else {
					bind(t, network, address)
				}
			}
			got, err := r.Listening(self(), vips())
			if err != nil {
				t.Fatal(err)
			}
			if diff := same(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestListeningSkipsConnections(t *testing.T) {
	r := host(t)
	bind(t, "tcp4", "10.0.0.9:80")
	// What is connected is no listener: a TCP connection from a VIP, and UDP the
	// way haproxy has each QUIC connection and asks name servers.
	for _, network := range []string{"tcp4", "udp4"} {
		var dialer net.Dialer
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 8), Port: 81}
		if network == "udp4" {
			dialer.LocalAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 8), Port: 81}
		}
		c, err := dialer.Dial(network, "10.0.0.9:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	got, err := r.Listening(self(), vips())
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(list("tcp", "10.0.0.9:80"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A socket is haproxy's only if one of its processes has it open, be it one that
// the given process has forked.
func TestListeningByOwner(t *testing.T) {
	r := host(t)
	l, err := net.Listen("tcp4", "10.0.0.9:80")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// The shell's child has the socket; the shell itself closes it.
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo $!; exec 3<&-; wait")
	cmd.ExtraFiles = []*os.File{file}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	defer func() {
		if p, err := os.FindProcess(child); child > 0 && err == nil {
			_ = p.Kill()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	child = readPID(t, out)
	other := stranger(t, "10.0.0.9:81")

	find := func(pids ...int) []Service {
		t.Helper()
		got, err := r.Listening(pids, vips())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := list("tcp", "10.0.0.9:80")
	if diff := same(list("tcp", "10.0.0.9:81"), find(other)); diff != "" {
		t.Errorf("another process (-want +got):\n%s", diff)
	}
	if diff := same(list(), find()); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}
	if diff := same(list(), find(1<<30)); diff != "" {
		t.Errorf("a process that does not run (-want +got):\n%s", diff)
	}
	file.Close() // this process's
	if diff := same(want, find(cmd.Process.Pid)); diff != "" {
		t.Errorf("the shell, by its child (-want +got):\n%s", diff)
	}
	if p, err := os.FindProcess(child); err == nil {
		_ = p.Kill()
	}
	eventually.True(t, "the socket goes with its process", func() bool { return len(find(cmd.Process.Pid)) == 0 })
}
