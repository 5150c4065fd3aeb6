// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/pkg/conntrack/record"
)

// dialFrom connects from a port that has been used before.
func (h *host) dialFrom(port int, to string) (c net.Conn) {
	h.t.Helper()
	h.do(func() (err error) {
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddr), Port: port}}
		c, err = d.Dial("tcp", to)
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

func portOf(c net.Conn) int { return c.LocalAddr().(*net.TCPAddr).Port }

// TestHalfOpen: a client that has lost a connection without a word uses its port
// again, after the move. The replica has to let through what both ends say until they
// agree that the old one is over.
func TestHalfOpen(t *testing.T) {
	l := newLab(t, routerRules)
	l.b.sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
	l.server.listen(serverAddr+":80", echo)
	c := l.client.dial("tcp", serverAddr+":80")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	l.a.copyTo(l.b.table(), Done)
	forget(t, c)
	l.use(l.b)
	again := l.client.dialFrom(portOf(c), serverAddr+":80")
	if err := converse(again, 2, 5*time.Second); err != nil {
		t.Errorf("connection from the same port after the move: %v", err)
	}
}

// forget ends a connection as a crash of its host does: nothing is sent.
func forget(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failure error
	if err := raw.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_REPAIR, 1)
	}); err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	c.Close()
}

// TestTimeWaitReuse: a connection whose like has ended at the second router begins
// anew at the first, is told to the second, and goes on there.
func TestTimeWaitReuse(t *testing.T) {
	l := newLab(t, routerRules)
	l.b.sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
	// The server closes first, so that the client may use its port at once.
	l.server.listen(serverAddr+":80", func(c net.Conn) {
		defer c.Close()
		_ = converseBack(c, 1)
	})
	l.use(l.b)
	c := l.client.dial("tcp", serverAddr+":80")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // EOF
	c.Close()
	filter := DefaultFilter()
	filter.States = StatesOf(TCPTimeWait)
	eventually.True(t, "the connection is in TIME_WAIT at the second router", func() bool { return len(l.b.dump(filter)) == 1 })

	l.use(l.a)
	again := l.client.dialFrom(portOf(c), serverAddr+":80")
	var entries []record.Entry
	eventually.True(t, "the new connection is assured", func() bool {
		entries = l.a.dump(DefaultFilter())
		return len(entries) == 1
	})
	apply(t, l.b.table(), Set, entries, Updated)
	l.use(l.b)
	if err := converse(again, 1, 5*time.Second); err != nil {
		t.Errorf("connection from a port that had been used: %v", err)
	}
}

// converseBack sends back so many blocks of converse.
func converseBack(c net.Conn, blocks int) error {
	b := make([]byte, 1<<16)
	for left := blocks << 16; left > 0; {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// TestWithoutReplica: what the other tests show is the replica's doing. Without one the
// second router drops a connection that is held, unless it may pick it up.
func TestWithoutReplica(t *testing.T) {
	l := newLab(t, routerRules)
	l.b.sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
	l.server.listen(serverAddr+":80", echo)
	c := l.client.dial("tcp", serverAddr+":80")
	if err := converse(c, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	l.use(l.b)
	if err := converse(c, 1, 500*time.Millisecond); err == nil {
		t.Error("a connection goes on without a replica")
	}
}

// TestRelated: the data connection of FTP goes on with its master's replica and
// without, as the second router has no helper's word for it.
func TestRelated(t *testing.T) {
	for _, orphan := range []bool{false, true} {
		l := newLab(t, varietyRules)
		l.b.sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
		l.server.listen(serverAddr+":21", l.servePassive)
		l.server.listen(serverAddr+":2000", echo)
		data := l.passive()[1]
		entries := masterFirst(l.a.dump(DefaultFilter()))
		if len(entries) != 2 || entries[1].Master != entries[0].Key {
			t.Fatalf("entries %+v, want a master and one with it", entries)
		}
		want := Done
		if orphan {
			entries, want = entries[1:], Orphaned
		}
		apply(t, l.b.table(), Set, entries, want)
		l.use(l.b)
		if err := converse(data, 5, 5*time.Second); err != nil {
			t.Errorf("data connection, master there: %v: %v", !orphan, err)
		}
	}
}

// TestHeldUDP: UDP goes on in both directions, the server's first.
func TestHeldUDP(t *testing.T) {
	l := newLab(t, routerRules)
	l.server.echoUDP(serverAddr + ":53")
	l.server.echoUDP("[" + serverAddr6 + "]:53")
	conns := []net.Conn{l.client.dial("udp", serverAddr+":53"), l.client.dial("udp", "["+serverAddr6+"]:53")}
	for _, c := range conns {
		if err := query(c); err != nil {
			t.Fatal(err)
		}
	}
	entries := l.a.dump(everything())
	apply(t, l.b.table(), Set, entries, Done)
	l.use(l.b)
	for _, c := range conns {
		if err := query(c); err != nil {
			t.Errorf("%v after the move: %v", c.RemoteAddr(), err)
		}
	}
	if got := l.b.dump(everything()); len(got) != len(entries) {
		t.Errorf("%d entries at the second router, want the %d that were copied", len(got), len(entries))
	}
}
