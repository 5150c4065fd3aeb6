// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
)

// connection is both ends of a TCP connection.
type connection struct{ client, server *net.TCPConn }

func (c connection) close() {
	c.client.Close()
	c.server.Close()
}

func connect(t testing.TB, l net.Listener, address string) connection {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Left to itself the client would take the address it calls.
	from := &net.TCPAddr{IP: net.ParseIP("10.0.0.1")}
	if strings.Contains(address, ":") {
		from.IP = net.ParseIP("fd00::1")
	}
	dialer := net.Dialer{LocalAddr: from}
	client, err := dialer.Dial("tcp", net.JoinHostPort(address, port))
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		client.Close()
		t.Fatal(err)
	}
	c := connection{client.(*net.TCPConn), server.(*net.TCPConn)}
	t.Cleanup(c.close)
	return c
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestEstablished(t *testing.T) {
	r := host(t)
	count := func() int {
		t.Helper()
		n, err := r.Established(vips())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := func(what string, n int) {
		t.Helper()
		eventually.True(t, fmt.Sprintf("%s: %d connections", what, n), func() bool { return count() == n })
	}
	four, dual := listen(t, "tcp4", "10.0.0.9:80"), listen(t, "tcp", "[::]:81")
	want("listeners only", 0)

	plain := connect(t, four, "10.0.0.9")
	want("IPv4", 1)
	mapped := connect(t, dual, "10.0.0.8")
	want("IPv4 by an IPv6 socket", 2)
	six := connect(t, dual, "fd00::9")
	want("IPv6", 3)
	connect(t, dual, "10.0.0.1")
	connect(t, dual, "fd00::1")
	connect(t, dual, "127.0.0.1")
	want("not to a VIP", 3)

	plain.server.CloseWrite()
	want("half-closed by haproxy: FIN_WAIT2", 3)
	plain.client.Close()
	want("closed by haproxy first: TIME_WAIT", 2)

	mapped.client.Close()
	want("closed by the client first: CLOSE_WAIT", 2)
	mapped.server.Close()
	want("closed by both", 1)

	six.server.Close()
	want("closed by haproxy alone: FIN_WAIT2 without a process", 0)
}

func BenchmarkEstablished(b *testing.B) {
	r := host(b)
	l := listen(b, "tcp4", "10.0.0.9:80")
	const connections = 4000
	for range connections {
		connect(b, l, "10.0.0.9")
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Established(vips()); err != nil || n != connections {
			b.Fatal(n, err)
		}
	}
	// Both ends of each are on this host.
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*connections), "ns/socket")
}

// A look by the number of listeners, with 4,000 connections. Somebody else's
// listener is on a wildcard, as sshd's is, so that every descriptor is looked at
// when the owners are sought: fresh=true, which happens every half minute.
func BenchmarkListening(b *testing.B) {
	for _, listeners := range []int{10, 1000} {
		for _, fresh := range []bool{false, true} {
			b.Run(fmt.Sprintf("listeners=%d/fresh=%t", listeners, fresh), func(b *testing.B) {
				r := host(b)
				listen(b, "tcp4", "0.0.0.0:22")
				haproxy := exec.Command("sleep", "1000")
				give := func(file *os.File, err error) {
					if err != nil {
						b.Fatal(err)
					}
					defer file.Close()
					fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
					if err != nil {
						b.Fatal(err)
					}
					haproxy.ExtraFiles = append(haproxy.ExtraFiles, os.NewFile(uintptr(fd), ""))
				}
				for port := range listeners {
					give(listen(b, "tcp4", fmt.Sprintf("10.0.0.9:%d", 1000+port)).(*net.TCPListener).File())
				}
				l := listen(b, "tcp4", "10.0.0.1:80")
				for range 4000 {
					c := connect(b, l, "10.0.0.1")
					give(c.server.File())
				}
				if err := haproxy.Start(); err != nil {
					b.Fatal(err)
				}
				for _, file := range haproxy.ExtraFiles {
					file.Close()
				}
				b.Cleanup(func() {
					_ = haproxy.Process.Kill()
					_ = haproxy.Wait()
				})
				b.ReportAllocs()
				for b.Loop() {
					if fresh {
						r.owners = newOwners("/proc")
					}
					// Somebody else's listener has been there for long.
					for cookie, d := range r.owners.known {
						d.first = time.Time{}
						r.owners.known[cookie] = d
					}
					list, err := r.Listening([]int{haproxy.Process.Pid}, vips())
					if err != nil || len(list) != listeners {
						b.Fatal(len(list), err)
					}
				}
			})
		}
	}
}
