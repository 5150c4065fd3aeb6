// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"os"
)

// RouterHafast runs hafast on a pair of routers, with the kernel's connections
// replicated over the sync link unless it is Unsynced.
type RouterHafast struct {
	*Hafast
	Unsynced bool
	// key is what both daemons seal their datagrams with, as a key file has it.
	key []byte
}

// Name implements System.
func (f *RouterHafast) Name() string {
	if f.Unsynced {
		return f.Hafast.Name() + "-unsynced"
	}
	return f.Hafast.Name()
}

// NewRouterHafast finds the binary as [NewHafast] does, and makes a key.
func NewRouterHafast() (*RouterHafast, error) {
	f, err := NewHafast()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	// It never fails (crypto/rand).
	_, _ = rand.Read(secret)
	return &RouterHafast{Hafast: f, key: []byte(base64.StdEncoding.EncodeToString(secret) + "\n")}, nil
}

// Start implements System.
func (f *RouterHafast) Start(_ context.Context, h *Host) error {
	key := "" // there is no sync without one
	if !f.Unsynced {
		key = h.Path("sync.key")
		if err := os.WriteFile(key, f.key, 0o600); err != nil {
			return err
		}
	}
	if err := render(f.ConfigPath(h), "hafast-routers.yaml", map[string]any{
		"Node":       h.Name,
		"Inside":     Interface,
		"Outside":    OutsideInterface,
		"Peer":       peerOf(h).Addr,
		"Priority":   Priority(h),
		"Gateway":    Gateway,
		"NATAddress": NATAddress,
		"Key":        key,
		"SyncOwn":    h.SyncAddr(),
		"SyncPeer":   peerOf(h).SyncAddr(),
		"Socket":     f.Socket(h),
		"StateDir":   f.StateDir(h),
		"BPFDir":     f.BPFDir(h),
	}); err != nil {
		return err
	}
	return f.start(h, "hafast", f.Binary, "run", "--config", f.ConfigPath(h))
}

// State implements System, by the addresses: asking the daemon would take a process each
// time, on a machine whose processors are short of time.
func (f *RouterHafast) State(_ context.Context, h *Host) State {
	if !f.running(h) {
		return StateGone
	}
	return routerState(h)
}

// Daemons are all processes that run on the host for the system, but not their children.
func (f *RouterHafast) Daemons(h *Host) []*Proc { return []*Proc{f.Proc(h)} }

// Move makes a router hand over, as an operator does.
func (f *RouterHafast) Move(ctx context.Context, from *Host) error {
	if err := f.Ready(ctx, peerOf(from)); err != nil {
		return err
	}
	return f.Drain(ctx, from)
}

// Replicas is how many entries the kernel's table of the router has: those of the peer
// are among them from the start.
func (f *RouterHafast) Replicas(h *Host) (int, error) { return h.ConntrackCount() }
