// SPDX-License-Identifier: Apache-2.0

package statesync

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"hafast/internal/eventually"
	"hafast/internal/membership"
	"hafast/pkg/conntrack/wire"
	"hafast/pkg/loader"
)

// stuckPath is a flow table that does nothing at all until it is released.
type stuckPath struct {
	FlowPath
	entered chan struct{} // closed when the channel is stuck in it
	enter   sync.Once
	release chan struct{}
}

func (p *stuckPath) ListenFlows(bool) {}

func (p *stuckPath) FlowEvents([]loader.FlowEvent) (n int, lost uint64, err error) {
	p.enter.Do(func() { close(p.entered) })
	<-p.release
	return 0, 0, nil
}

// returns fails the test if f does not return.
func returns(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	eventually.True(t, what+" returns", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// TestLoopDoesNotWaitForATable: the channel is stuck in its flow table, with its lock held.
// What the loop calls returns all the same, and of all that was published the last is in
// force once the table goes on.
func TestLoopDoesNotWaitForATable(t *testing.T) {
	cable(t)
	path := &stuckPath{entered: make(chan struct{}), release: make(chan struct{})}
	c, err := Open(Options{Boot: 1, Keys: [][]byte{key(1)}, Flows: path, Ready: func(bool) {}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func(membership.Packet) {}) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-path.entered

	vips := []netip.Addr{addr("10.8.0.1"), addr("10.8.0.2")}
	returns(t, "SetAlive", func() { c.SetAlive(addr("10.9.0.2"), true) })
	for _, peer := range []string{"10.9.0.3", "10.9.0.2"} {
		returns(t, "SetPeers", func() { c.SetPeers([]membership.Neighbour{{Addr: addr(peer), Source: addr("10.9.0.1")}}) })
	}
	returns(t, "SetConfig", func() { c.SetConfig(7) })
	for _, k := range []byte{2, 3} {
		returns(t, "SetKeys", func() {
			if err := c.SetKeys([][]byte{key(k)}); err != nil {
				t.Error(err)
			}
		})
	}
	returns(t, "SetScope with more", func() {
		if err := c.SetScope(vips); err != nil {
			t.Error(err)
		}
	})
	returns(t, "SetScope with less, which is the one that may wait for a moment,", func() {
		if err := c.SetScope(vips[:1]); !errors.Is(err, ErrLastWord) {
			t.Errorf("%v, want %v", err, ErrLastWord)
		}
	})

	close(path.release)
	ring, err := wire.NewKeyring(key(3))
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the last of each is in force", func() bool {
		st := c.Status()
		return len(st.Peers) == 1 && st.Peers[0].Addr == addr("10.9.0.2") && slices.Equal(st.Keys, ring.IDs())
	})
	eventually.True(t, "a last word is sent, now that the table goes on", func() bool {
		return c.SetScope(vips) == nil && c.SetScope(nil) == nil
	})
}

// TestBadKeysAreRefusedAtOnce: whoever reloads a configuration is told.
func TestBadKeysAreRefusedAtOnce(t *testing.T) {
	cable(t)
	c, err := Open(Options{Boot: 1, Keys: [][]byte{key(1)}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.SetKeys([][]byte{{1, 2, 3}}) == nil {
		t.Error("a key of 3 bytes was accepted")
	}
}
