// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSystemCanReceive(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if err := System().CanReceive(port); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	conn.Close()
	if err := System().CanReceive(port); err != nil {
		t.Errorf("free port: %v", err)
	}
}

func TestSystemConntrack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the kernel tells root alone")
	}
	there, err := System().Conntrack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := System().Sysctl("net/netfilter/nf_conntrack_count"); err == nil && !there {
		t.Error("connection tracking is there, and not by netlink; every distribution has both")
	}
}
