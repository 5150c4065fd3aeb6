// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"hafast/test/program/rig"
)

// listens opens a listening socket on a port of the VIP, for the row.
func listens(f rig.Family, port uint16) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		listen(t, w, netip.AddrPortFrom(f.VIP, port))
	}
}

func listen(t *testing.T, w *rig.World, at netip.AddrPort) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	w.Do(func() { l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// connected opens a connection from the client's address to a port of the VIP, which
// is haproxy's on this host: its packets are those of ToVIP.
func connected(f rig.Family, port uint16) given {
	return func(t *testing.T, w *rig.World) {
		t.Helper()
		connect(t, w, netip.AddrPortFrom(f.Client, rig.ClientPort), netip.AddrPortFrom(f.VIP, port))
	}
}

func connect(t *testing.T, w *rig.World, from, to netip.AddrPort) {
	t.Helper()
	l := listen(t, w, to)
	var client, server net.Conn
	var err error
	w.Do(func() {
		client, err = net.DialTCP("tcp", net.TCPAddrFromAddrPort(from), net.TCPAddrFromAddrPort(to))
		if err != nil {
			err = fmt.Errorf("dial: %w", err)
			return
		}
		server, err = l.Accept()
	})
	check(t, err)
	t.Cleanup(func() {
		// No TIME_WAIT: the next row has the same ports.
		for _, c := range []net.Conn{client, server} {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	})
}
