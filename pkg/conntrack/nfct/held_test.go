// SPDX-License-Identifier: Apache-2.0

package nfct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hafast/internal/eventually"
	"hafast/pkg/conntrack/record"
)

// echo is the server's side of a held connection.
func echo(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

// converse sends blocks of 64 KiB and wants them back.
func converse(c net.Conn, blocks int, patience time.Duration) error {
	sent, got := make([]byte, 1<<16), make([]byte, 1<<16)
	for i := range blocks {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		for j := range sent {
			sent[j] = byte(i*31 + j*7)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := c.Write(sent)
			failed <- err
		}()
		if _, err := io.ReadFull(c, got); err != nil {
			return errors.Join(fmt.Errorf("block %d: %w", i, err), <-failed)
		}
		if err := <-failed; err != nil {
			return err
		}
		if !bytes.Equal(sent, got) {
			return fmt.Errorf("block %d came back changed", i)
		}
	}
	return nil
}

// dump reads a router's table.
func (h *host) dump(filter Filter) (entries []record.Entry) {
	h.t.Helper()
	h.do(func() error {
		return dump(context.Background(), filter, func(e *record.Entry) { entries = append(entries, *e) })
	})
	return entries
}

// copyTo sets in table what the router has, and wants all of it done.
func (h *host) copyTo(table *Table, want Outcome) []record.Entry {
	h.t.Helper()
	entries := h.dump(DefaultFilter())
	apply(h.t, table, Set, entries, want)
	return entries
}

// apply carries out one action on all entries, and wants one outcome.
func apply(t testing.TB, table *Table, action Action, entries []record.Entry, want Outcome) {
	t.Helper()
	ops := make([]Op, len(entries))
	for i := range ops {
		ops[i] = Op{Action: action, Entry: entries[i]}
	}
	tally, err := table.Apply(ops)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if op.Outcome != want {
			t.Errorf("%v: outcome %v (%v), want %v", op.Entry.Key, op.Outcome, tally.Refusal, want)
		}
	}
}

// TestHeldConnections: connections through a router with SNAT go on through another
// one, which has had their entries since they were made and has seen none of their
// packets.
func TestHeldConnections(t *testing.T) {
	for _, liberal := range []string{"0", "1"} {
		for _, loose := range []string{"0", "1"} {
			t.Run("liberal "+liberal+" loose "+loose, func(t *testing.T) { held(t, liberal, loose) })
		}
	}
}

func held(t *testing.T, liberal, loose string) {
	l := newLab(t, routerRules)
	for _, router := range []*host{l.a, l.b} {
		router.sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", liberal)
		router.sysctl("net.netfilter.nf_conntrack_tcp_loose", loose)
	}
	for _, end := range []*host{l.client, l.server} {
		end.sysctl("net.ipv4.tcp_rmem", "4096 131072 1073741824")
	}
	l.server.listen(serverAddr+":80", echo)
	l.server.listen("["+serverAddr6+"]:80", echo)
	resets := make(chan error, 1)
	l.server.listen(serverAddr+":81", func(c net.Conn) {
		defer c.Close()
		_, err := io.Copy(c, c)
		resets <- err
	})
	var held []net.Conn
	for range 3 {
		held = append(held, l.client.dial("tcp4", serverAddr+":80"), l.client.dial("tcp6", "["+serverAddr6+"]:80"))
	}
	aborted, closing := l.client.dial("tcp4", serverAddr+":81"), l.client.dial("tcp4", serverAddr+":80")
	all := append([]net.Conn{aborted, closing}, held...)
	for _, c := range all {
		if err := converse(c, 1, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}

	atA, atB := l.a.table(), l.b.table()
	entries := l.a.copyTo(atB, Done)
	if len(entries) != len(all) {
		t.Fatalf("%d entries for %d connections", len(entries), len(all))
	}
	for _, e := range entries {
		if e.TCP.ScaleOriginal != 14 || e.TCP.ScaleReply != 14 {
			t.Errorf("window scales %d and %d, want 14 for this test", e.TCP.ScaleOriginal, e.TCP.ScaleReply)
		}
	}
	// The sequence numbers go on far beyond any window that the copy could know.
	for _, c := range all {
		if err := converse(c, 20, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	// One is closed half: the replica does not hear of it.
	if err := closing.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// One is in full flow meanwhile.
	flow := make(chan error, 1)
	go func() { flow <- converse(held[0], 300, 5*time.Second) }()
	l.use(l.b)
	for i, c := range held[1:] {
		if err := converse(c, 20, 5*time.Second); err != nil {
			t.Errorf("held connection %d after the move: %v", i+1, err)
		}
	}
	if err := <-flow; err != nil {
		t.Errorf("connection in full flow: %v", err)
	}
	if _, err := closing.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the server's end of a connection that was half closed: %v, want EOF", err)
	}
	_ = aborted.(*net.TCPConn).SetLinger(0)
	aborted.Close()
	select {
	case err := <-resets:
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the server sees %v, want a reset", err)
		}
	case <-time.After(eventually.Patience):
		t.Error("the server hears nothing of a reset")
	}

	// And back. The first router's own entries have stood still.
	apply(t, atA, Loosen, l.a.dump(DefaultFilter()), Done)
	l.use(l.a)
	for i, c := range held {
		if err := converse(c, 20, 5*time.Second); err != nil {
			t.Errorf("held connection %d after the move back: %v", i, err)
		}
	}
	for _, c := range held {
		c.Close()
	}
	// The first router may not know of the two that have ended at the second.
	eventually.True(t, "the held connections are closed at the first router", func() bool {
		return len(l.a.dump(DefaultFilter())) <= 2
	})
}
