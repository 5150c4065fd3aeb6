// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hafast/internal/link/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host enters a namespace that has two VIPs of each family and an address of its
// own, all on lo, and returns a Reader of it.
func host(t testing.TB) *Reader {
	t.Helper()
	nstest.Enter(t)
	for _, cidr := range []string{"10.0.0.1/32", "10.0.0.8/32", "10.0.0.9/32", "fd00::1/128", "fd00::8/128", "fd00::9/128"} {
		nstest.Add(t, "lo", cidr)
	}
	r, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Limits(); err != nil {
		t.Fatal(err)
	}
	return r
}

// vips are those of host.
func vips() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9"),
		netip.MustParseAddr("fd00::8"), netip.MustParseAddr("fd00::9"),
	}
}

func self() []int { return []int{os.Getpid()} }

// bind opens a socket: "tcp4 ADDRESS" and so on listen, "udp4 ADDRESS" takes
// datagrams. A network of tcp or udp makes an IPv6 socket that takes IPv4 too, tcp6
// or udp6 one that does not.
func bind(t testing.TB, network, address string) (release func()) {
	t.Helper()
	if network[:3] == "tcp" {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return func() { l.Close() }
	}
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() { c.Close() }
}

// bindMapped listens on an IPv4 address by an IPv6 socket.
func bindMapped(t testing.TB, address string) {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
}

// stranger starts a process that is none of haproxy's and listens.
func stranger(t testing.TB, address string) (pid int) {
	t.Helper()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// readPID reads the number that a shell echoes.
func readPID(t *testing.T, r io.Reader) int {
	t.Helper()
	buf := make([]byte, 16)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// service is "tcp 10.0.0.9:80".
func service(proto, at string) Service {
	a := netip.MustParseAddrPort(at)
	return Service{VIP: a.Addr(), Port: a.Port(), Proto: proto}
}

// list makes services of "tcp", "10.0.0.9:80", "udp", ...
func list(words ...string) []Service {
	services := []Service{}
	for i := 0; i+1 < len(words); i += 2 {
		services = append(services, service(words[i], words[i+1]))
	}
	return services
}
