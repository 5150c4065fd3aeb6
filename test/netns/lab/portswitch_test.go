// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net"
	"testing"
	"time"
)

// TestPortSwitch closes a port each way, and finds out by UDP what still arrives.
func TestPortSwitch(t *testing.T) {
	l := ForTest(t, Options{})
	a, b := l.Pair()
	port, err := a.PortSwitch()
	if err != nil {
		t.Fatal(err)
	}
	// They know each other for good: ARP would need both directions.
	knows(t, a, b)
	knows(t, b, a)
	for _, tt := range []struct {
		direction Direction
		from, to  bool // what arrives
	}{{FromHost, false, true}, {ToHost, true, false}, {BothWays, false, false}} {
		for _, closed := range []bool{true, false} {
			from, to := true, true
			if closed {
				port.Close(tt.direction)
				from, to = tt.from, tt.to
			} else {
				port.Open()
			}
			if getsThrough(t, a, b, from) != from {
				t.Errorf("closed %t, %s: a datagram from the host arrives: %t", closed, tt.direction, !from)
			}
			if getsThrough(t, b, a, to) != to {
				t.Errorf("closed %t, %s: a datagram to the host arrives: %t", closed, tt.direction, !to)
			}
		}
	}
	if took := port.CloseFor(BothWays, 5*time.Millisecond); took < 5*time.Millisecond {
		t.Errorf("the port was closed for %v", took)
	}
	if !getsThrough(t, a, b, true) {
		t.Error("the port has stayed closed")
	}
}

func knows(t *testing.T, h, other *Host) {
	t.Helper()
	_, err := h.Run(t.Context(), "ip", "neigh", "replace", other.Addr.String(), "lladdr", other.MAC.String(), "dev", Interface, "nud", "permanent")
	if err != nil {
		t.Fatal(err)
	}
}

// getsThrough reports whether a datagram gets from one host to the other. It waits for long
// if one is expected.
func getsThrough(t *testing.T, from, to *Host, expected bool) bool {
	t.Helper()
	there, here := listenUDP(t, to), listenUDP(t, from)
	defer there.Close()
	defer here.Close()
	if _, err := here.WriteTo([]byte{1}, there.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	wait := 50 * time.Millisecond
	if expected {
		wait = 10 * time.Second
	}
	if err := there.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	_, _, err := there.ReadFrom(make([]byte, 1))
	return err == nil
}

func listenUDP(t *testing.T, h *Host) (conn net.PacketConn) {
	t.Helper()
	err := h.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: h.Addr.AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
